"""Two workers on this machine against a single process."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_dos.workers import Workers

WORKER = Path(__file__).parent / "worker.py"
TIMEOUT = 600  # Seconds; on two busy cores all tasks take several minutes.


def start(folder, *tasks, config=None):
    environment = {k: v for k, v in os.environ.items() if k != "TF_CONFIG"}
    if config is not None:
        environment["TF_CONFIG"] = json.dumps(config)
    return subprocess.Popen(
        [sys.executable, str(WORKER), str(folder), *tasks],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def workers(folder, *tasks, count=2):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    cluster = {"worker": addresses}
    return [
        start(
            folder,
            *tasks,
            config={"cluster": cluster, "task": {"type": "worker", "index": index}},
        )
        for index in range(count)
    ]


def ended(processes):
    """Return (return code, stdout, stderr) of each; none outlives the test."""
    try:
        outputs = [p.communicate(timeout=TIMEOUT) for p in processes]
    finally:
        for process in processes:
            process.kill()
    return [(p.returncode, *out) for p, out in zip(processes, outputs, strict=True)]


def answers(processes):
    results = ended(processes)
    for code, _, error in results:
        assert code == 0, error[-3000:]
    return [json.loads(out.splitlines()[-1]) for _, out, _ in results]


EQUAL = (
    "plain",
    "training",
    "passed",
    "mapped",
    "normalized",
    "stream",
    "indexed",
    "inference",
)


@pytest.mark.slow
def test_two_workers_do_as_one_process_does(tmp_path):
    """One test, since each pair of processes takes half a minute to start and trace."""
    more = "uneven", "refused", "other_epochs", "exchanged"
    both = answers(workers(tmp_path, *EQUAL, *more))
    # Two cores: the third process waits.
    (one,) = answers([start(tmp_path, *EQUAL)])
    for worker in both:
        for task in EQUAL:
            check_equal(task, worker[task], one[task])
        # What does not fill the replicas is left out.
        assert worker["uneven"]["steps"] == 4 * 10
        assert np.isfinite(worker["uneven"]["loss"]).all()
        assert worker["exchanged"] == "equal"
        check_refusals(worker)


@pytest.mark.slow
def test_a_cluster_of_one_is_one_process(tmp_path):
    (one,) = answers([start(tmp_path, "training")])
    (alone,) = answers(workers(tmp_path, "training", count=1))
    check_equal("training", alone["training"], one["training"])


@pytest.mark.slow
def test_what_fails_on_one_worker_ends_all(tmp_path):
    first, second = answers(workers(tmp_path, "one_sided", "training"))
    broken, short, *first_data = first["one_sided"]
    assert broken == "OSError: no index"
    assert "RuntimeError: The neighbor search Short must answer" in short
    *searches, shard, seed, order = second["one_sided"]
    for message in searches:
        assert "must succeed on the first worker" in message
    for message in (*first_data, shard, seed, order):
        assert "RuntimeError: All workers must have the same data" in message
    assert len(first_data) == 3
    # Both processes live on, and train together.
    np.testing.assert_array_equal(
        first["training"]["weights"], second["training"]["weights"]
    )


def check_equal(task, noted, expected):
    assert noted.keys() == expected.keys(), task
    if task == "inference":
        for name in ("evaluate", "predict"):
            np.testing.assert_allclose(
                noted[name], expected[name], rtol=1e-5, err_msg=name
            )
        return
    np.testing.assert_allclose(
        noted["weights"], expected["weights"], atol=1e-5, err_msg=task
    )
    assert noted["history"].keys() == expected["history"].keys(), task
    for name, values in expected["history"].items():
        np.testing.assert_allclose(
            noted["history"][name], values, rtol=1e-4, err_msg=f"{task}: {name}"
        )
    if task != "plain":
        assert expected["history"]["embedding_loss"][-1] > 0


def check_refusals(worker):
    batch_size, class_weight, steps = worker["refused"]
    assert "multiple of the 2 workers" in batch_size
    assert "Received: batch_size=7" in batch_size
    assert "pass weights of the samples as `sample_weight`" in class_weight
    assert "`steps_per_execution` must be 1 on several machines" in steps
    assert "All workers must begin the same epoch" in worker["other_epochs"]
    assert "Received: epoch [2, 0], by worker." in worker["other_epochs"]


@pytest.mark.slow
def test_a_death_ends_the_others_and_a_restart_goes_on(tmp_path):
    (whole,) = answers([start(tmp_path, "backup")])
    (tmp_path / "kill").touch()
    processes = workers(tmp_path, "backup")
    processes[1].wait(timeout=TIMEOUT)
    died = time.monotonic()
    (code, _, error), _ = ended(processes)
    assert time.monotonic() - died < 60
    assert code != 0
    assert "UnavailableError" in error
    for worker in answers(workers(tmp_path, "backup")):
        history = worker["backup"]["history"]["loss"]
        assert len(history) == 3  # Epochs 4 to 6.
        np.testing.assert_allclose(
            worker["backup"]["weights"], whole["backup"]["weights"], atol=1e-5
        )


# One process of several, without the others.


class Resolver:
    def __init__(self, task_type, task_id, **tasks):
        self.task_type, self.task_id, self._tasks = task_type, task_id, tasks

    def cluster_spec(self):
        return tf.train.ClusterSpec(self._tasks)


def worker(index, count=3, replicas=None, chief=False):
    """A worker of a strategy that was never started."""
    strategy = object.__new__(tf.distribute.MultiWorkerMirroredStrategy)
    names = [f"host{i}:1" for i in range(count)]
    if chief:
        tasks = {"chief": names[:1], "worker": names[1:]}
        task = ("chief", 0) if index == 0 else ("worker", index - 1)
    else:
        tasks, task = {"worker": names}, ("worker", index)

    class Started(tf.distribute.MultiWorkerMirroredStrategy):
        cluster_resolver = Resolver(*task, **tasks)
        num_replicas_in_sync = replicas or count

    strategy.__class__ = Started
    return Workers(strategy)


@pytest.mark.parametrize("chief", [False, True])
def test_workers_are_counted_from_the_chief(chief):
    numbered = [worker(i, chief=chief) for i in range(3)]
    assert [w.index for w in numbered] == [0, 1, 2]
    assert {w.count for w in numbered} == {3}


def test_workers_with_several_gpus_are_refused():
    with pytest.raises(ValueError, match=r"one GPU.*Received: 4 GPUs of 2 workers"):
        worker(0, count=2, replicas=4).places(24, 12)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("z", [12, 13, 24, 40, 47])
def test_batches_are_shared_in_order(z, count):
    size = 12
    parts = [worker(i, count).places(z, size) for i in range(count)]
    share = size // count
    whole = []
    for start_of_part in range(0, len(parts[0]), share):
        whole += [part[start_of_part : start_of_part + share] for part in parts]
    whole = np.concatenate(whole)
    np.testing.assert_array_equal(whole, np.arange(len(whole)))
    assert z - count < len(whole) <= z
    assert len({len(part) for part in parts}) == 1
