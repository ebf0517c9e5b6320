"""Tests of keras_dos.plots: what the figures have in them, and what is refused."""

import io
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from arguments import Series
from matplotlib import pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_limits
from toy import blobs, compiled, network

import keras_dos
from keras_dos import OverloadingCallback, classwise_report, plots
from keras_dos.plots import style

NAN = float("nan")
MINORITY = (2,)


def predictions(seed=0, m=90, n=3):
    """Labels and probabilities with ties and with bins that stay empty."""
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(n), rng.integers(n, size=m - n)])
    p = rng.dirichlet(np.ones(n), size=m)
    p[np.arange(m), y] += 0.5
    p = np.ceil(p * 4)
    return y, p / p.sum(axis=1, keepdims=True)


Y, P = predictions()
_, Q = predictions(seed=1)
REPORTS = {
    "CNN": classwise_report(Y, P, MINORITY),
    "DOS": classwise_report(Y, Q, MINORITY),
}
HISTORY = {
    "minority_variance": [NAN, 4.0, None, 2.0],
    "majority_variance": [NAN, 5.0, None, 3.0],
}


def stages(d=5, titles=("before", "after")):
    rng = np.random.default_rng(0)
    return {title: rng.normal(size=(len(Y), d)) for title in titles}


DRAWN = {
    "bars": lambda: plots.classwise_bars(REPORTS),
    "embeddings": lambda: plots.embeddings(stages(), Y, MINORITY, "pca"),
    "variance": lambda: plots.in_class_variance({"SVHN": HISTORY}),
    "curves": lambda: plots.precision_recall_curves(Y, {"CNN": P, "DOS": Q}, 2),
    "rates": lambda: plots.reduction_rates([0.9, 0.99], {"CNN": [0.7, 0.5]}),
    "reliability": lambda: plots.reliability_diagrams(Y, {"CNN": P, "DOS": Q}),
}


@pytest.fixture(autouse=True)
def one_thread():
    """Threads of t-SNE wait for each other where tests share the cores."""
    with threadpool_limits(1):
        yield


# Of all of them.


def test_every_function_is_drawn_here():
    assert len(DRAWN) == len(plots.__all__)


@pytest.mark.parametrize("draw", DRAWN.values(), ids=list(DRAWN))
def test_a_figure_is_returned_and_nothing_global_changes(draw):
    settings, figures = dict(mpl.rcParams), plt.get_fignums()
    figure = draw()
    assert type(figure) is Figure
    figure.savefig(io.BytesIO(), dpi=50)
    assert dict(mpl.rcParams) == settings
    assert plt.get_fignums() == figures


@pytest.mark.parametrize("draw", DRAWN.values(), ids=list(DRAWN))
def test_no_text_covers_another_at_800_pixels(draw):
    figure = draw()
    assert figure.get_figwidth() == 8
    figure.set_dpi(100)
    figure.draw_without_rendering()
    renderer = FigureCanvasAgg(figure).get_renderer()
    texts = [
        text
        for text in figure.findobj(mpl.text.Text)
        if text.get_text() and text.get_visible()
    ]
    # The names of classes stand where their samples are.
    ignored = [t for axes in figure.axes for t in axes.texts if len(t.get_text()) == 1]
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            # Matplotlib keeps labels of ticks that it does not draw.
            ignored += [
                tick.label1
                for tick in axis.get_major_ticks()
                if not low <= tick.get_loc() <= high
            ]
    boxes = [
        (text.get_text(), text.get_window_extent(renderer))
        for text in texts
        if text not in ignored
    ]
    for place, (name, box) in enumerate(boxes):
        for other, other_box in boxes[:place]:
            assert not box.padded(-1).overlaps(other_box.padded(-1)), (name, other)
        assert figure.bbox.padded(1).containsx(box.x0), name
        assert figure.bbox.padded(1).containsx(box.x1), name


@pytest.mark.parametrize("draw", DRAWN.values(), ids=list(DRAWN))
def test_the_background_is_that_of_the_readers_style(draw):
    assert to_hex(draw().get_facecolor(), keep_alpha=True) == "#ffffffff"
    with mpl.style.context("dark_background"):
        figure = draw()
    assert to_hex(figure.get_facecolor()) == "#000000"
    for text in figure.findobj(mpl.text.Text):
        assert not text.get_text() or to_hex(text.get_color()) == "#ffffff"


def luminance(color):
    """Relative luminance of WCAG 2."""
    rgb = np.array(mpl.colors.to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_colors_are_seen_on_white_and_on_black():
    assert len({*style.COLORS, style.GRAY}) == 7
    for color in (*style.COLORS, style.GRAY):
        assert 1.05 / (luminance(color) + 0.05) > 2
        assert (luminance(color) + 0.05) / 0.05 > 3


@pytest.mark.parametrize(
    "draw",
    [
        lambda value: plots.classwise_bars(value),
        lambda value: plots.embeddings(value, Y),
        lambda value: plots.in_class_variance(value),
        lambda value: plots.precision_recall_curves(Y, value, 2),
        lambda value: plots.precision_recall_curves(Y, {"CNN": P}, 2, value),
        lambda value: plots.reduction_rates([0.9, 0.99], value),
        lambda value: plots.reliability_diagrams(Y, value),
    ],
)
def test_what_is_drawn_comes_by_name(draw):
    with pytest.raises(TypeError, match=r"must be a mapping .*Received: list\.$"):
        draw([P])
    with pytest.raises(ValueError, match=r"at least one|must have 1 to|^`thresholds`"):
        draw({})


@pytest.mark.parametrize(
    ("draw", "most"),
    [
        (lambda names: plots.classwise_bars(dict.fromkeys(names, REPORTS["CNN"])), 7),
        (lambda names: plots.embeddings(stages(titles=names), Y, projection="pca"), 3),
        (lambda names: plots.in_class_variance(dict.fromkeys(names, HISTORY)), 3),
        (
            lambda names: plots.precision_recall_curves(Y, dict.fromkeys(names, P), 2),
            7,
        ),
        (
            lambda names: plots.reduction_rates(
                [0.9, 0.99], dict.fromkeys(names, (0.7, 0.5))
            ),
            7,
        ),
        (lambda names: plots.reliability_diagrams(Y, dict.fromkeys(names, P)), 3),
    ],
)
def test_no_more_is_drawn_than_can_be_told_apart(draw, most):
    draw([f"{i}" for i in range(most)])
    with pytest.raises(ValueError, match=rf"1 to {most} .*Received: {most + 1} "):
        draw([f"{i}" for i in range(most + 1)])


def test_without_matplotlib_the_extra_is_named():
    code = (
        "import sys\n"
        "sys.modules['matplotlib'] = None\n"
        "sys.modules['keras_dos'] = type(sys)('keras_dos')\n"
        f"sys.modules['keras_dos'].__path__ = {list(keras_dos.__path__)}\n"
        "import keras_dos.plots"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "ImportError: keras_dos.plots needs Matplotlib" in done.stderr
    assert 'pip install "keras-dos[plots]"' in done.stderr


# Each of them.


def test_bars_are_the_measures_with_the_minority_last():
    reports = {
        name: classwise_report(Y, p, [0]) for name, p in {"CNN": P, "DOS": Q}.items()
    }
    for measure in ("precision", "recall", "f1", "auprc"):
        (axes,) = plots.classwise_bars(reports, measure).axes
        for bars, report in zip(axes.containers, reports.values(), strict=True):
            values = getattr(report, measure)
            assert [bar.get_height() for bar in bars] == [*values[1:], values[0]]
        assert [t.get_text() for t in axes.get_xticklabels()] == ["1", "2", "0"]
    baseline, ours = axes.containers
    assert to_hex(baseline[0].get_facecolor()) == style.GRAY.lower()
    assert to_hex(ours[0].get_facecolor()) == style.ORANGE.lower()
    for left, right in zip(baseline, ours, strict=True):
        assert left.get_x() + left.get_width() == pytest.approx(right.get_x())


def test_bars_without_minority_keep_the_order_and_take_names():
    report = classwise_report(Y, P)
    (axes,) = plots.classwise_bars({"CNN": report}, class_names=["a", "b", "c"]).axes
    assert [t.get_text() for t in axes.get_xticklabels()] == ["a", "b", "c"]
    assert axes.get_title("right") == ""


def test_many_classes_make_a_wider_picture():
    y = np.arange(40)
    report = classwise_report(y, np.eye(40))
    assert plots.classwise_bars({"CNN": report}).get_figwidth() > 20


def test_reports_that_do_not_fit_raise():
    with pytest.raises(TypeError, match=r"classwise_report.*Received: dict for 'A'"):
        plots.classwise_bars({"A": {}})
    other = classwise_report(Y, P, [0])
    with pytest.raises(ValueError, match=r"minority \[0\] and 3 classes, minority \[2"):
        plots.classwise_bars({"A": REPORTS["CNN"], "B": other})
    with pytest.raises(ValueError, match=r"^`measure` must be .*Received: measure='x'"):
        plots.classwise_bars(REPORTS, "x")
    for hidden in ("_CNN", ""):
        with pytest.raises(ValueError, match=r"^`reports` .*legends.*Received: '"):
            plots.classwise_bars({"DOS": REPORTS["CNN"], hidden: REPORTS["CNN"]})
    with pytest.raises(ValueError, match=r"^`class_names` must be in the order of"):
        plots.classwise_bars(REPORTS, class_names=Series("c", "a", "b"))
    for names in (["a"], {"a", "b", "c"}, {"a": 0, "b": 1, "c": 2}, iter("abc"), 3):
        message = r"^`class_names` .*3 classes\. Received:"
        with pytest.raises(ValueError, match=message):
            plots.classwise_bars(REPORTS, class_names=names)


def points_of(axes):
    return {
        tuple(np.round(point, 6))
        for drawn in axes.collections
        for point in drawn.get_offsets()
    }


def test_embeddings_are_the_principal_components():
    values = stages()
    figure = plots.embeddings(values, Y, projection="pca")
    assert [axes.get_title() for axes in figure.axes] == ["before", "after"]
    for axes, vectors in zip(figure.axes, values.values(), strict=True):
        plane = PCA(2).fit_transform(vectors)
        assert points_of(axes) == {tuple(np.round(point, 6)) for point in plane}
        sizes = [len(drawn.get_offsets()) for drawn in axes.collections]
        assert sizes == np.bincount(Y).tolist()
        for j, text in enumerate(axes.texts):
            assert text.get_text() == f"{j}"
            own = {tuple(np.round(point, 6)) for point in plane[j == Y]}
            assert tuple(np.round(text.get_position(), 6)) in own


def test_t_sne_repeats_with_its_seed_and_keeps_clusters_apart():
    x, y = blobs((30, 30, 8), spread=0.1)
    first, again = (plots.embeddings({"f": x}, y).axes[0] for _ in range(2))
    assert points_of(first) == points_of(again)
    centers = [drawn.get_offsets().mean(axis=0) for drawn in first.collections]
    for j, drawn in enumerate(first.collections):
        distances = [
            np.linalg.norm(drawn.get_offsets() - center, axis=1) for center in centers
        ]
        assert (np.argmin(distances, axis=0) == j).all()


@pytest.mark.parametrize("projection", ["tsne", "pca"])
def test_embeddings_of_a_network_that_has_collapsed_are_one_point(projection):
    """scikit-learn's t-SNE ends the process there."""
    axes = plots.embeddings({"f": np.ones((90, 4))}, Y, projection=projection).axes[0]
    assert points_of(axes) == {(0.0, 0.0)}


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_embeddings_of_any_size_are_drawn(scale):
    x, y = blobs((30, 30, 8))
    plain, scaled = (plots.embeddings({"f": v}, y).axes[0] for v in (x, scale * x))
    assert len(points_of(plain)) == len(points_of(scaled)) == len(y)


def test_minority_classes_are_in_color_and_on_top():
    axes = plots.embeddings(stages(), Y, [0], "pca", ["cat", "dog", "owl"]).axes[0]
    colors = [to_hex(drawn.get_facecolor()[0]) for drawn in axes.collections]
    assert colors == [style.GRAY.lower(), style.GRAY.lower(), style.ORANGE.lower()]
    assert len(axes.collections[-1].get_offsets()) == (Y == 0).sum()
    assert [text.get_text() for text in axes.texts] == ["dog", "owl", "cat"]


def test_many_samples_are_drawn_smaller():
    def areas(m):
        vectors = np.random.default_rng(0).normal(size=(m, 2))
        figure = plots.embeddings({"f": vectors}, np.arange(m) % 2, [1], "pca")
        return np.array([c.get_sizes()[0] for c in figure.axes[0].collections])

    np.testing.assert_allclose(areas(1600), areas(400) / 4)
    np.testing.assert_allclose(areas(10), areas(400))


def test_labels_may_be_one_hot_and_few_samples_do():
    vectors = np.random.default_rng(0).normal(size=(4, 3))
    figure = plots.embeddings({"f": vectors}, np.eye(2)[[0, 1, 1, 0]])
    assert len(points_of(figure.axes[0])) == 4


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((3, 5)), rf"shape \(3, 5\), {len(Y)} labels"),
        (np.zeros((len(Y), 1)), r"shape \(90, 1\)"),
        (np.zeros(len(Y)), r"shape \(90,\)"),
        (np.full((len(Y), 2), NAN), "90 rows that are not"),
    ],
)
def test_embeddings_that_do_not_fit_raise(values, message):
    with pytest.raises(ValueError, match=rf"^`stages\['f'\]` .*Received: .*{message}"):
        plots.embeddings({"f": values}, Y)


def test_other_bad_arguments_of_embeddings_raise():
    with pytest.raises(ValueError, match=r"^`y` must have labels.*Received: -1"):
        plots.embeddings(stages(), Y - 1)
    with pytest.raises(ValueError, match=r"^`projection` must be one of"):
        plots.embeddings(stages(), Y, projection="umap")
    with pytest.raises(ValueError, match=r"^`minority` must name classes"):
        plots.embeddings(stages(), Y, minority=[7])
    with pytest.raises(TypeError, match=r"^`seed` must be an integer"):
        plots.embeddings(stages(), Y, seed=None)
    with pytest.raises(TypeError, match=r"^`stages\['f'\]` must be .*real numbers"):
        plots.embeddings({"f": [["a", "b"]] * len(Y)}, Y)


class Columns:
    """Columns by name, as of a table of pandas."""

    def __init__(self, columns):
        self.keys, self.columns = columns.keys, columns

    def __contains__(self, name):
        return name in self.columns

    def __getitem__(self, name):
        return np.array(self.columns[name])


@pytest.mark.slow
def test_the_variance_of_a_training_is_drawn():
    x, y = blobs()
    history = compiled(network()).fit(
        x, y, epochs=4, verbose=0, callbacks=[OverloadingCallback(k=2, minority=[2])]
    )
    (axes,) = plots.in_class_variance({"blobs": history}).axes
    assert [line.get_label() for line in axes.lines] == ["minority", "majority"]
    for line in axes.lines:
        logged = history.history[f"{line.get_label()}_variance"]
        expected = [(i + 1, v) for i, v in enumerate(logged) if np.isfinite(v)]
        assert len(expected) >= 2
        np.testing.assert_allclose(line.get_xydata(), expected)


def test_epochs_without_a_round_have_no_point():
    (axes,) = plots.in_class_variance({"SVHN": HISTORY}).axes
    assert axes.lines[0].get_xydata().tolist() == [[2, 4], [4, 2]]
    assert axes.lines[1].get_xydata().tolist() == [[2, 5], [4, 3]]
    only = {"minority_variance": [1.0]}
    assert len(plots.in_class_variance({"one group": only}).axes[0].lines) == 1
    # A table of pandas looks up its columns, but is no mapping.
    table = Columns(only)
    assert len(plots.in_class_variance({"table": table}).axes[0].lines) == 1


@pytest.mark.parametrize(
    "history",
    [
        *({}, {"loss": [1.0]}, {"minority_variance": [NAN]}, [1.0]),
        *({"minority_variance": value} for value in (3.0, ["x"], [[1.0], [1.0, 2.0]])),
        {"minority_variance": [[1.0, 2.0]]},
    ],
)
def test_a_history_without_rounds_raises(history):
    with pytest.raises(
        ValueError, match=r"^`histories\['A'\]` .*first round.*Received"
    ):
        plots.in_class_variance({"A": history})


def retrieved(y, score, class_id, threshold):
    """Precision and recall of a class, counted by hand."""
    taken = [label for label, s in zip(y, score, strict=True) if s >= threshold]
    hits = sum(label == class_id for label in taken)
    return hits / len(taken) if taken else 1.0, hits / sum(y == class_id)


def test_curves_are_counted_by_hand():
    figure = plots.precision_recall_curves(Y, {"CNN": P, "DOS": Q}, 2, {"DOS": 0.4})
    (axes,) = figure.axes
    curves = {line.get_label().split(":")[0]: line for line in axes.lines}
    for name, p in (("CNN", P), ("DOS", Q)):
        expected = {retrieved(Y, p[:, 2], 2, t)[::-1] for t in {*p[:, 2], 2.0}}
        drawn = {(float(x), float(y)) for x, y in curves[name].get_xydata()}
        assert drawn == expected
    precision, recall = retrieved(Y, Q[:, 2], 2, 0.4)
    (point,) = [line for line in axes.lines if line.get_marker() == "o"]
    assert point.get_xydata().tolist() == [[recall, precision]]
    assert point.get_color() == curves["DOS"].get_color()
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    auprc = f"{classwise_report(Y, Q).auprc[2]:.3f}".removeprefix("0")
    assert f"DOS: AP {auprc}" in texts
    assert f"at ≥ 0.4: precision {precision:.3f}".replace("0.", ".", 2) in "".join(
        text.replace("0.4", ".4") for text in texts
    )
    assert set(curves["guessing"].get_ydata()) == {np.mean(Y == 2)}


def test_an_operating_point_that_takes_nothing_is_drawn():
    figure = plots.precision_recall_curves(
        [0, 1], {"CNN": [[0.9, 0.1], [0.6, 0.4]]}, 1, {"CNN": 0.5}
    )
    (point,) = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert point.get_xydata().tolist() == [[0, 1]]


def test_bad_arguments_of_curves_raise():
    curves = plots.precision_recall_curves
    with pytest.raises(ValueError, match=r"^`class_id` .*Received: class 3"):
        curves(Y, {"CNN": P}, 3)
    with pytest.raises(ValueError, match=r"\[1\], which have no samples"):
        curves([0, 0], {"CNN": [[0.9, 0.1]] * 2}, 1)
    with pytest.raises(ValueError, match=r'^`thresholds` .*"CNN".*Received: .*\'DOS\''):
        curves(Y, {"CNN": P}, 2, {"DOS": 0.5})
    with pytest.raises(ValueError, match=r"^`thresholds\['CNN'\]` must be at least 0"):
        curves(Y, {"CNN": P}, 2, {"CNN": -0.5})
    with pytest.raises(ValueError, match=r"^`probabilities` must be non-negative"):
        curves(Y, {"CNN": -P}, 2)


def calibration_by_hand(y, p, n_bins):
    """For each bin that is not empty, (confidence, accuracy, fraction); and ECE."""
    bins = [[] for _ in range(n_bins)]
    for label, row in zip(y, p, strict=True):
        place = min(int(max(row) * n_bins), n_bins - 1)
        bins[place].append((max(row), float(np.argmax(row) == label)))
    found = [
        (*np.mean(members, axis=0), len(members) / len(y))
        for members in bins
        if members
    ]
    return found, sum(f * abs(c - a) for c, a, f in found)


@pytest.mark.parametrize("n_bins", [1, 4, 10, 15])
def test_calibration_is_counted_by_hand(n_bins):
    figure = plots.reliability_diagrams(Y, {"CNN": P, "DOS": Q}, n_bins)
    above, below = figure.axes[:2], figure.axes[2:]
    for axes, rest, (name, p) in zip(
        above, below, {"CNN": P, "DOS": Q}.items(), strict=True
    ):
        expected, error = calibration_by_hand(Y, p, n_bins)
        assert axes.get_title() == f"{name}: ECE {error:.3f}".replace("0.", ".")
        dots = axes.lines[1].get_xydata()
        dots = dots[np.isfinite(dots).all(axis=1)]
        np.testing.assert_allclose(dots, [(c, a) for c, a, _ in expected])
        stems = [path.vertices for path in axes.collections[0].get_paths()]
        stems = [stem for stem in stems if np.isfinite(stem).all()]
        np.testing.assert_allclose(stems, [[(c, c), (c, a)] for c, a, _ in expected])
        fractions = rest.patches[0].get_data().values
        np.testing.assert_allclose(fractions[fractions > 0], [f for *_, f in expected])
        assert len(fractions) == n_bins


def test_bad_arguments_of_reliability_diagrams_raise():
    for n_bins in (0, 10**9):
        with pytest.raises(ValueError, match=r"^`n_bins` must be at least 1"):
            plots.reliability_diagrams(Y, {"CNN": P}, n_bins)
    with pytest.raises(ValueError, match=r"same number of samples"):
        plots.reliability_diagrams(Y[:5], {"CNN": P})
    with pytest.raises(ValueError, match=r"^`probabilities` must be non-negative"):
        plots.reliability_diagrams(Y, {"CNN": 3 * P})


def test_each_method_is_a_labeled_line():
    found = {"CNN": [0.7, 0.6, 0.5], "ROS": [0.72, 0.62, 0.505], "DOS": [0.8, 0.7, 0.6]}
    (axes,) = plots.reduction_rates([0, 0.9, 0.99], found).axes
    for line, (name, values) in zip(axes.lines, found.items(), strict=True):
        assert line.get_label() == name
        np.testing.assert_allclose(line.get_xdata(), [1, 0.1, 0.01])
        assert line.get_ydata().tolist() == values
    assert [t.get_text() for t in axes.get_xticklabels()] == ["0", "0.9", "0.99"]
    assert axes.get_xscale() == "log"
    left, right = axes.get_xlim()
    assert left > right  # The imbalance grows to the right.
    offsets = {text.get_text(): text.xyann[1] for text in axes.texts}
    assert list(offsets) == list(found)
    assert offsets["DOS"] == pytest.approx(0)
    assert offsets["CNN"] < 0 < offsets["ROS"]


@pytest.mark.parametrize(
    "rates", [[], [0.9], [0.9, 0.5], [0.5, 0.5], [0.5, 1], [NAN, 1]]
)
def test_bad_rates_raise(rates):
    with pytest.raises(ValueError, match=r"^`rates` must .*Received: rates="):
        plots.reduction_rates(rates, {"CNN": [0.5] * len(rates)})


@pytest.mark.parametrize("rates", [None, 0.5, {0.5: 1, 0.9: 2}, ["a", "b"]])
def test_rates_that_are_no_list_of_numbers_raise(rates):
    with pytest.raises((TypeError, ValueError), match=r"^`rates` must .*Received: "):
        plots.reduction_rates(rates, {"CNN": [0.5, 0.4]})


@pytest.mark.parametrize("values", [[0.5], [70.0, 60.0], [NAN, 0.5], [[0.5, 0.6]], 0.5])
def test_accuracy_that_does_not_fit_the_rates_raises(values):
    with pytest.raises(
        ValueError, match=r"^`balanced_accuracy\['A'\]` must .*Received"
    ):
        plots.reduction_rates([0.9, 0.99], {"A": values})


def test_labels_are_moved_no_further_than_needed():
    rng = np.random.default_rng(0)
    for _ in range(50):
        heights = rng.uniform(0, 40, size=5)
        placed = np.array(style.spread(heights, gap=10))
        order = np.argsort(heights)
        assert (np.diff(placed[order]) >= 10 - 1e-9).all()
        assert placed.mean() == pytest.approx(heights.mean())
    assert style.spread([0, 50, 20], gap=10) == [0, 50, 20]


def test_long_titles_are_broken_between_words():
    figure, (axes, *_) = style.panels(3, height=2)
    style.title(axes, "MNIST-back-rotation (re-created), p = 0.9", 3)
    assert axes.get_title() == "MNIST-back-rotation\n(re-created), p\xa0=\xa00.9"
    assert len(figure.axes) == 3
