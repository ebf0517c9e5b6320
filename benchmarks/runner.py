"""Run unfinished cells, in parallel processes of one thread each."""

import importlib.metadata
import multiprocessing
import os
import platform
import shlex
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

from tqdm import tqdm

from benchmarks.cells import Cell, Record, Store, run

CELLS_PER_PROCESS = 20
# Whether TensorFlow takes oneDNN where it would not by itself: convolutions then differ
# severalfold in time, and in last digits.
ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
PACKAGES = ("keras-dos", "keras", "tensorflow", "scann", "numpy", "scikit-learn")


def run_missing(wanted: Iterable[Cell], store: Store, jobs: int) -> None:
    """Run the cells that the store does not have, and add each when it finishes.

    Args:
        wanted: Cells; duplicates and finished cells are skipped.
        store: Where records go.
        jobs: Processes at a time.

    Raises:
        RuntimeError: If cells failed, after all others have run.
    """
    missing = {cell.key: cell for cell in wanted if cell not in store}
    if not missing:
        return
    made = stamp()
    failures = []
    context = multiprocessing.get_context("spawn")  # TensorFlow does not fork.
    with tqdm(total=len(missing), unit="cell") as progress:
        # TensorFlow keeps graphs and data of past cells; new processes start clean.
        cells = list(missing.values())
        size = CELLS_PER_PROCESS * jobs
        for batch in (cells[i : i + size] for i in range(0, len(cells), size)):
            pool = ProcessPoolExecutor(jobs, context, set_up)
            try:
                running = {pool.submit(run, cell): cell for cell in batch}
                for future in as_completed(running):
                    cell = running[future]
                    try:
                        store.add(cell, future.result() | made)
                    except Exception as error:  # One must not stop the others.
                        failures.append(f"{cell.key}: {error!r}")
                        tqdm.write(failures[-1])
                    progress.update()
            finally:
                # Ctrl-C must not wait for cells that have not begun.
                pool.shutdown(cancel_futures=True)
    if failures:
        raise RuntimeError(
            f"{len(failures)} of {len(missing)} cells failed; the others are kept, and "
            "the same command runs these again. Received:\n" + "\n".join(failures)
        )


def in_a_process(
    function: Callable[..., Any],
    *arguments: Any,
    initializer: Callable[[], None] | None = None,
) -> Any:
    """Return what a function returns in a process of its own.

    Args:
        function: It can be pickled.
        *arguments: Its arguments.
        initializer: What the process runs first, such as `set_up`. Defaults to None.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, initializer) as pool:
        return pool.submit(function, *arguments).result()


def stamp() -> Record:
    """Return the command and the versions that records are made with."""
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    setting = [f"{ONEDNN}={os.environ[ONEDNN]}"] if ONEDNN in os.environ else []
    return {
        "command": shlex.join([*setting, "python", "-m", "benchmarks", *sys.argv[1:]]),
        "versions": {"python": platform.python_version(), **versions},
    }


def set_up() -> None:
    """Give a worker one thread, and end it with the process that started it."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    # A worker whose parent was killed would go on with cells that nobody stores.
    os._exit(1)
