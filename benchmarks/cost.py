"""What DOS costs beside plain Keras: times as ratios in one run, and peak memory.

Plain `fit` and DOS train the same network on the same samples for the same number of
steps (r = 1), one after the other in one process with one thread: plain, DOS, and plain
again, since the clock of a machine drifts. A figure is the median over three such
processes of medians of seven epochs, fourteen of plain ones; the time of the search is
a mean over eight rounds, peak memory that of one process.
"""

import csv
import io
import itertools
import resource
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import keras
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks import networks as today
from benchmarks.runner import in_a_process, set_up, stamp
from benchmarks.tables import markdown
from keras_dos import DOSModel, OverloadingCallback, networks
from keras_dos.draws import draw_weights
from keras_dos.schedule import Epoch, Phase
from keras_dos.search import get_search

# Plain epochs, the first round, epochs on its quadruplets (steps alone), more rounds.
# The first of each kind traces what the others run.
PHASES: tuple[Phase, ...] = (
    *("warmup",) * 8,
    "overload",
    *("keep",) * 7,
    *("overload",) * 7,
)
WARMUP, STEP, ROUND = slice(1, 8), slice(9, 16), slice(16, 23)
HEAD = "head on frozen features"
NETWORKS: dict[str, Callable[..., DOSModel]] = {
    "C6-C16-F400-F120": networks.c6_c16_f400_f120,
    "ResNet-8": today.resnet,
    HEAD: today.dense_head,
}
Record = dict[str, Any]


@dataclass(frozen=True)
class Workload:
    """A network and its samples, which are random.

    Attributes:
        network: A key of `NETWORKS`.
        m: Samples.
        k: In-class neighbors.
        d: Size of the embedding, where the network lets one choose.
        n: Classes.
        shape: Of a sample.
        batch_size: Samples per step.
        embeddings: Where the stored embeddings come from.
    """

    network: str
    m: int
    k: int = 5
    d: int = 128
    n: int = 10
    shape: tuple[int, ...] = (512,)
    batch_size: int = 64
    embeddings: Literal["training", "pass"] = "training"

    def model(self) -> DOSModel:
        """Return the compiled network."""
        keras.utils.set_random_seed(0)
        more = {"embedding_size": self.d} if self.network == HEAD else {}
        model = NETWORKS[self.network](self.shape, self.n, **more)
        model.compile("adam", "sparse_categorical_crossentropy")
        return model

    def samples(self) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Return random samples around a center of each class."""
        rng = np.random.default_rng(0)
        y = rng.integers(self.n, size=self.m)
        centers = rng.uniform(0, 255, size=(self.n, *self.shape))
        x = centers[y] + rng.normal(scale=40, size=(self.m, *self.shape))
        if self.network == HEAD:
            return (x / 255).astype("float32"), y
        return x.clip(0, 255).astype("uint8"), y


MAIN = (
    Workload("C6-C16-F400-F120", 12_000, shape=(28, 28, 1), batch_size=60),
    Workload("ResNet-8", 3_000, shape=(32, 32, 3)),
    Workload(HEAD, 20_000),
)
PASS = tuple(replace(workload, embeddings="pass") for workload in MAIN)
GROWTH = {
    "m": tuple(Workload(HEAD, m) for m in (5_000, 10_000, 20_000, 40_000)),
    "k": tuple(Workload(HEAD, 10_000, k=k) for k in (1, 3, 5, 10)),
    "d": tuple(Workload(HEAD, 10_000, d=d) for d in (32, 128, 512)),
    "n": tuple(Workload(HEAD, 10_000, n=n) for n in (2, 10, 100)),
}
WORKLOADS = tuple(dict.fromkeys(itertools.chain(MAIN, PASS, *GROWTH.values())))
"""All of them once: the groups of GROWTH share one."""


class Clock(keras.callbacks.Callback):
    """Collects CPU and wall seconds of each epoch, refreshes included."""

    def on_train_begin(self, logs: object = None) -> None:
        self.marks = [(time.process_time(), time.perf_counter())]

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        self.marks.append((time.process_time(), time.perf_counter()))


def median(*clocks: Clock, epochs: slice) -> NDArray[np.float64]:
    """Return the median CPU and wall seconds of some epochs of each clock."""
    seconds = [np.diff(clock.marks, axis=0)[epochs] for clock in clocks]
    medians: NDArray[np.float64] = np.median(np.concatenate(seconds), axis=0)
    return medians


class TimedSearch:
    """The default search, with the seconds that it has taken."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._engine = get_search("auto")

    def search(self, vectors: NDArray[np.float32], k: int) -> Any:
        """Search as the engine does."""
        started = time.perf_counter()
        answer = self._engine.search(vectors, k)
        self.seconds += time.perf_counter() - started
        return answer


def measure(workload: Workload) -> Record:
    """Train plainly and by DOS, and return seconds and ratios."""
    x, y = workload.samples()
    arguments: dict[str, Any] = {"batch_size": workload.batch_size, "verbose": 0}
    plain = Clock(), Clock()
    workload.model().fit(x, y, epochs=8, callbacks=[plain[0]], **arguments)
    search, drawing = TimedSearch(), []

    def sampler(exists: NDArray[np.bool_], rng: np.random.Generator) -> Any:
        started = time.perf_counter()
        weights = draw_weights(exists, rng)
        drawing.append(time.perf_counter() - started)
        return weights

    callback = OverloadingCallback(
        k=workload.k,
        r=1,
        schedule=planned,
        embeddings=workload.embeddings,
        neighbor_search=search,
        weight_sampler=sampler,
    )
    clock = Clock()
    history = (
        workload.model()
        .fit(x, y, epochs=len(PHASES), callbacks=[callback, clock], **arguments)
        .history
    )
    workload.model().fit(x, y, epochs=8, callbacks=[plain[1]], **arguments)
    rounds = PHASES.count("overload")
    base = median(*plain, epochs=WARMUP)
    kinds = {"warm-up": WARMUP, "step": STEP, "round": ROUND}
    ratios = {name: median(clock, epochs=of) / base for name, of in kinds.items()}
    return {
        "plain epoch, s": base[0],
        **{f"{name}, CPU": ratio[0] for name, ratio in ratios.items()},
        **{f"{name}, wall": ratio[1] for name, ratio in ratios.items()},
        # By default two thirds of the epochs are warm-up.
        "training, CPU": (2 * ratios["warm-up"][0] + ratios["round"][0]) / 3,
        "refresh, s": float(np.median(history["refresh_time"][ROUND])),
        "search, s": search.seconds / rounds,
        "draw w, s": sum(drawing) / rounds,
    }


def planned(epoch: int, epochs: int) -> Epoch:
    """Return what each epoch of a measurement is; a warm-up as that of the defaults."""
    phase = PHASES[epoch]
    return Epoch(phase, prior=None if phase == "warmup" else "quadruplets")


def peak_memory(workload: Workload, callbacks: bool) -> float:
    """Return the peak resident memory of a process that trains, in MiB."""
    x, y = workload.samples()
    model = workload.model()
    overloading = OverloadingCallback(
        k=workload.k, r=1, warmup_epochs=1, embeddings=workload.embeddings
    )
    model.fit(
        x,
        y,
        batch_size=workload.batch_size,
        epochs=3,
        verbose=0,
        callbacks=[overloading] if callbacks else None,
    )
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def records() -> list[Record]:
    """Measure every workload, each in processes of its own."""
    measured = []
    for workload in tqdm(WORKLOADS, unit="workload"):
        repeated = [
            in_a_process(measure, workload, initializer=set_up) for _ in range(3)
        ]
        record = asdict(workload) | {
            name: float(np.median([once[name] for once in repeated]))
            for name in repeated[0]
        }
        if workload in (*MAIN, *PASS):
            plain, dos = (
                in_a_process(peak_memory, workload, callbacks, initializer=set_up)
                for callbacks in (False, True)
            )
            record |= {"peak, MiB": plain, "peak": dos / plain}
        measured.append(record)
    return measured


def csv_text(measured: list[Record]) -> str:
    """Return one line per workload."""
    file = io.StringIO()
    names = list(dict.fromkeys(name for record in measured for name in record))
    writer = csv.DictWriter(file, names, lineterminator="\n")
    writer.writeheader()
    for record in measured:
        rounded = {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in record.items()
        }
        writer.writerow(rounded)
    return file.getvalue()


def document(measured: list[Record]) -> str:
    """Return the tables in Markdown."""
    of = {_key(record): record for record in measured}
    main = [of[_key(asdict(workload))] for workload in (*MAIN, *PASS)]
    rows = [
        [
            f"{r['network']}, {r['m']:,} samples, batches of {r['batch_size']}",
            r["embeddings"],
            f"{r['plain epoch, s']:.2f}",
            *(f"{r[f'{name}, CPU']:.2f}" for name in ("warm-up", "step", "round")),
            f"{r['round, wall']:.2f}",
            f"{r['training, CPU']:.2f}",
            f"{r['refresh, s'] / r['plain epoch, s']:.1%}",
            f"{r['search, s'] / r['refresh, s']:.0%}",
            f"{r['peak, MiB']:,.0f}",
            f"{r['peak']:.2f}",
        ]
        for r in main
    ]
    header = [
        *("network", "embeddings", "plain epoch, CPU s"),
        *("warm-up", "step", "round", "round, wall"),
        *("training", "refresh", "of it search", "plain peak, MiB", "peak"),
    ]
    parts = [
        "# What DOS costs beside plain Keras",
        f"{(__doc__ or '').partition('.')[2].strip()} Columns without a unit are "
        "ratios to plain `fit`, of CPU time where nothing else is said: an epoch of "
        "the warm-up, one on the quadruplets of the last round (steps alone), one with "
        "a refresh, and a training with the default warm-up. The refresh (search and "
        'drawing, with `embeddings="pass"` also the pass) is in percent of a plain '
        "epoch. k = 5.",
        markdown(header, rows),
        f"How it grows: {HEAD}, 10,000 samples of 10 classes, k = 5, d = 128, but for "
        "one of them.",
    ]
    for name, workloads in GROWTH.items():
        group = [of[_key(asdict(workload))] for workload in workloads]
        lines = [
            ["round", *(f"{r['round, CPU']:.2f}" for r in group)],
            ["step", *(f"{r['step, CPU']:.2f}" for r in group)],
            ["refresh, s", *(f"{r['refresh, s']:.2f}" for r in group)],
            ["search, s", *(f"{r['search, s']:.2f}" for r in group)],
        ]
        parts.append(markdown([name, *(f"{r[name]:,}" for r in group)], lines))
    made = stamp()
    versions = ", ".join(f"{name} {v}" for name, v in made["versions"].items())
    parts.append(f"`{made['command']}`, {versions}; CPU, one thread.\n")
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _key(record: Record) -> tuple[Any, ...]:
    return tuple(record[name] for name in Workload.__dataclass_fields__)
