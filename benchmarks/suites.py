"""The named problems of the experiments: data, imbalance, network and training."""

from dataclasses import replace
from typing import Any

from benchmarks.problems import DATA_DIR, Problem


def _reduced(name: str, title: str, p: float) -> dict[str, Any]:
    """Return the arguments of a data set's problem that depend on p."""
    return {
        "name": f"{name}_p{round(100 * p)}",
        "title": f"{title}, p = {p}" if p else title,
        "imbalance": {"reduction_rate": p} if p else {},
    }


def mnist(p: float) -> Problem:
    """Return MNIST whose four minority classes lose the fraction p."""
    return Problem(
        **_reduced("mnist", "MNIST", p),
        data="mnist",
        batch_size=60,
        epochs=4,
    )


def back_rotation(p: float) -> Problem:
    """Return re-created MNIST-back-rotation; four classes lose the fraction p."""
    return Problem(
        **_reduced("mnist_back_rotation", "MNIST-back-rotation (re-created)", p),
        data="mnist_back_rotation",
        optimizer=0.01,
        batch_size=40,
        epochs=12,
    )


def svhn(p: float) -> Problem:
    """Return the SVHN subset whose four minority classes lose the fraction p."""
    return Problem(
        **_reduced("svhn_subset", "SVHN subset (5,136 / 2,000)", p),
        data="svhn_cropped",
        batch_size=32,
        epochs=9,
    )


def _long_tail(ratio: int) -> dict[str, Any]:
    return {"profile": "exp", "ratio": ratio}


def cifar10_lt(ratio: int) -> Problem:
    """Return CIFAR-10-LT, on which no setting is chosen."""
    return Problem(
        name=f"cifar10_lt_{ratio}",
        data="cifar10",
        title=f"CIFAR-10-LT, ratio {ratio}",
        imbalance=_long_tail(ratio),
        batch_size=50,
        epochs=12 if ratio == 100 else 8,
    )


def _longer(problem: Problem, epochs: int) -> Problem:
    """Return a problem with more epochs than its own."""
    name, title = f"{problem.name}_long", f"{problem.title}, {epochs} epochs"
    return replace(problem, name=name, title=title, epochs=epochs)


BARS = (back_rotation(0.9), mnist(0.99), svhn(0.9))
TUNED_ON = (back_rotation(0.9), svhn(0.9))
LONG_TAIL = (cifar10_lt(10), cifar10_lt(100))
THREE_TIMES_AS_LONG = _longer(svhn(0.9), 27)
SVHN_RATES = (svhn(0.9), svhn(0.95), svhn(0.99))
TABLE_6 = tuple(
    make(p) for make in (mnist, back_rotation, svhn) for p in (0.9, 0.95, 0.99)
)
TABLE_7 = (mnist(0.99), back_rotation(0.99), svhn(0.99))
CIFAR10 = Problem(
    name="cifar10",
    data="cifar10",
    title="CIFAR-10",
    batch_size=50,
    epochs=4,
    network="C20-C50-F500-F120",
)
STL10 = replace(CIFAR10, name="stl10", data="stl10", title="STL-10", epochs=5)
# STL-10 runs where TensorFlow Datasets has prepared it.
TABLE_8 = (svhn(0), CIFAR10, *([STL10] if (DATA_DIR / "stl10").is_dir() else []))
LENGTHS = tuple(
    replace(CIFAR10, title=f"CIFAR-10, {epochs} epochs", epochs=epochs)
    for epochs in (4, 8, 12)
)
TENFOLD = tuple(
    Problem(
        name=f"mnist_back_rotation_x10_reduced_{rate}",
        data="mnist_back_rotation_x10",
        title=f"MNIST-back-rotation (re-created), ten-fold, {rate} % less",
        imbalance={"profile": "gaussian", "reduction_rate": rate / 100} if rate else {},
        optimizer=0.01,
        batch_size=40,
        epochs=3,
    )
    for rate in (0, 20, 40)
)


def cosine(problem: Problem, name: str, epochs: int, network: str) -> Problem:
    """Return a problem on a network of today, with the training that is usual there."""
    return replace(
        problem,
        name=name,
        title=f"{problem.title}, {network}",
        optimizer="cosine",
        batch_size=64,
        epochs=epochs,
        network=network,
    )


# Problems to choose defaults on, of many kinds, on parts held out of training sets.
MANY = (
    *BARS,
    replace(
        mnist(0),
        name="mnist_lt_100",
        title="MNIST, ratio 100",
        imbalance=_long_tail(100),
    ),
    replace(
        back_rotation(0),
        name="mnist_back_rotation_lt_50",
        title="MNIST-back-rotation (re-created), ratio 50",
        imbalance=_long_tail(50),
    ),
    replace(
        svhn(0),
        name="svhn_subset_lt_20",
        title="SVHN subset, ratio 20",
        imbalance=_long_tail(20),
    ),
    replace(
        cifar10_lt(100),
        name="cifar10_step_20",
        title="CIFAR-10, step, ratio 20",
        imbalance={"profile": "step", "ratio": 20},
        epochs=8,
    ),
    Problem(
        name="mnist_5000_p80",
        data="mnist_5000",
        title="MNIST, 5,000 images, p = .8",
        imbalance={"reduction_rate": 0.8},
        epochs=18,
    ),
    Problem(
        name="digits_lt_20",
        data="digits",
        title="scikit-learn's digits, ratio 20",
        imbalance=_long_tail(20),
        batch_size=32,
        epochs=30,
        network="dense head",
    ),
    cosine(
        replace(
            cifar10_lt(100),
            data="cifar10_half",
            title="CIFAR-10-LT, ratio 100, 16 × 16",
        ),
        "resnet8_cifar10_half_lt_100",
        12,
        "ResNet-8",
    ),
)
HALF_SIZE = MANY[-1]

# The comparison on networks of today; settings are chosen on the first alone.
TODAY = (
    cosine(cifar10_lt(100), "resnet8_cifar10_lt_100", 9, "ResNet-8"),
    cosine(cifar10_lt(10), "resnet8_cifar10_lt_10", 5, "ResNet-8"),
    cosine(svhn(0.9), "resnet8_svhn_subset_p90", 18, "ResNet-8, no flips"),
)
# The same at a quarter of the cost, for machines on which those take too long.
TODAY_AT_HALF_SIZE = (
    cosine(
        replace(
            svhn(0.9), data="svhn_cropped_half", title=f"{svhn(0.9).title}, 16 × 16"
        ),
        "resnet8_svhn_subset_half_p90",
        18,
        "ResNet-8, no flips",
    ),
    HALF_SIZE,
)
WITH_COSINE_HEAD = tuple(
    replace(
        problem,
        name=f"{problem.name}_cosine",
        title=f"{problem.title}, cosine head",
        network=f"{problem.network}, cosine head",
    )
    for problem in TODAY_AT_HALF_SIZE
)
# To see whether neighbors pay where a network fits what it is trained on.
HALF_SIZE_LONGER = _longer(HALF_SIZE, 30)
