"""The compared methods: losses against loops, budgets, and what they give back."""

import keras
import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from benchmarks import networks
from benchmarks.methods import (
    METHODS,
    Task,
    losses,
    samples,
    stored_embeddings,
    weights,
)
from benchmarks.methods.metric_learning import (
    Clusters,
    hardest_triplets,
    quintuplet_loss,
)
from keras_dos import DOSModel
from keras_dos.samples import InMemory

COUNTS = np.array([50, 10, 4])
Y = np.array([0, 2, 1, 2])
P = np.array(
    [[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.05, 0.05, 0.9], [0.1, 0.1, 0.8]], np.float32
)


def softmax_cross_entropy(logits, y):
    values = []
    for z, label in zip(logits, y, strict=True):
        exponentials = [np.exp(value) for value in z]
        values.append(-np.log(exponentials[label] / sum(exponentials)))
    return values


def test_focal_loss():
    expected = [-((1 - p[y]) ** 2) * np.log(p[y]) for p, y in zip(P, Y, strict=True)]
    np.testing.assert_allclose(losses.focal(2.0)(Y, P), expected, rtol=1e-5)


@pytest.mark.parametrize("tau", [0.5, 1.0, 2.0])
def test_logit_adjusted_loss(tau):
    logits = [
        [np.log(p[j]) + tau * np.log(COUNTS[j] / 64) for j in range(3)] for p in P
    ]
    expected = softmax_cross_entropy(logits, Y)
    computed = losses.logit_adjusted(COUNTS, tau)(Y, P)
    np.testing.assert_allclose(computed, expected, rtol=1e-4)


def test_logit_adjusted_loss_of_mixed_labels():
    one_hot = np.eye(3, dtype=np.float32)
    mixed = 0.3 * one_hot[Y] + 0.7 * one_hot[Y[::-1]]
    sparse = losses.logit_adjusted(COUNTS, 1.5)
    expected = 0.3 * np.asarray(sparse(Y, P)) + 0.7 * np.asarray(sparse(Y[::-1], P))
    computed = losses.logit_adjusted_mixed(COUNTS, 1.5)(mixed, P)
    np.testing.assert_allclose(computed, expected, rtol=1e-4)


def test_ldam_loss_lowers_the_true_logit_by_the_margin_of_its_class():
    logits = []
    for p, y in zip(P, Y, strict=True):
        margin = 0.5 * (COUNTS[y] ** -0.25) / (4**-0.25)
        logits.append([np.log(p[j]) - 10 * margin * (j == y) for j in range(3)])
    expected = softmax_cross_entropy(logits, Y)
    np.testing.assert_allclose(losses.ldam(COUNTS, 10.0)(Y, P), expected, rtol=1e-4)


def test_the_losses_have_gradients_where_p_is_tiny():
    import tensorflow as tf

    logits = tf.Variable([[40.0, 0.0, 0.0]])
    with tf.GradientTape() as tape:
        p = tf.nn.softmax(logits)
        loss = losses.logit_adjusted(np.array([1, 1, 1]), 1.0)(np.array([1]), p)
    gradient = tape.gradient(loss, logits).numpy()
    np.testing.assert_allclose(gradient, [[1.0, -1.0, 0.0]], atol=1e-4)


def test_the_cosine_head_sees_directions_alone():
    head = networks.CosineHead(3, 10.0)
    x = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
    p = np.asarray(head(x))
    np.testing.assert_allclose(head(7 * x), p, rtol=1e-4)
    kernel = head.kernel.numpy()
    for i in range(4):
        cosines = [
            x[i] @ kernel[:, j] / np.linalg.norm(x[i]) / np.linalg.norm(kernel[:, j])
            for j in range(3)
        ]
        e = np.exp(10 * np.array(cosines))
        np.testing.assert_allclose(p[i], e / e.sum(), rtol=1e-4)


def test_class_weights():
    y = np.repeat([0, 1, 2], COUNTS)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=y)
    computed = weights.inverse_frequency(COUNTS, 1.0)
    np.testing.assert_allclose(list(computed.values()), expected)

    effective = weights.effective_number(COUNTS, 0.9)
    raw = [0.1 / (1 - 0.9**n) for n in COUNTS]
    ratios = [effective[j] / raw[j] for j in range(3)]
    np.testing.assert_allclose(ratios, ratios[0])
    assert sum(effective[label] for label in y) == pytest.approx(len(y))


def test_triplets_take_the_farthest_of_the_class_and_the_nearest_of_the_others():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(6, 3)).astype("float32"), np.array([0, 0, 1, 1, 1, 2])
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    expected = []
    for i in range(6):
        to = [np.sum((unit[i] - unit[j]) ** 2) for j in range(6)]
        same = max(to[j] for j in range(6) if y[j] == y[i])
        other = min(to[j] for j in range(6) if y[j] != y[i])
        expected.append(max(0, 0.2 + same - other))
    computed = hardest_triplets(x, y, 0.2)
    np.testing.assert_allclose(computed, expected, atol=1e-5)


def test_quintuplet_loss():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(10, 3)).astype("float32")
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    expected = []
    for start in (0, 5):
        d = [np.sum((unit[start] - unit[start + i]) ** 2) for i in range(1, 5)]
        hinges = [max(0, 0.1 + d[i] - d[i + 1]) for i in range(3)]
        expected += [sum(hinges)] * 5
    np.testing.assert_allclose(quintuplet_loss(x, 0.1), expected, atol=1e-5)


def test_quintuplets_come_from_where_they_must():
    rng = np.random.default_rng(3)
    y = np.repeat([0, 1, 2], [40, 20, 1])
    vectors = rng.normal(size=(61, 4)).astype("float32")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    clusters = Clusters(vectors, y, size=10, seed=0)
    drawn = clusters.quintuplets(300, rng)
    anchors = drawn[:, 0]
    frequencies = np.bincount(y[anchors]) / 300
    np.testing.assert_allclose(frequencies, 1 / 3, atol=0.1)
    assert (clusters.cluster[drawn[:, 1]] == clusters.cluster[anchors]).all()
    several = y[anchors] < 2  # The third class has no second cluster.
    outside = clusters.cluster[drawn[:, 2]] != clusters.cluster[anchors]
    assert outside[several].all()
    assert (y[drawn[:, 2]] == y[anchors]).all()
    assert (y[drawn[:, 3]] == y[anchors]).all()
    assert (y[drawn[:, 4]] != y[anchors]).all()


def test_clusters_classify_what_lies_in_them():
    rng = np.random.default_rng(4)
    centers = np.eye(3)[np.repeat(np.arange(3), 20)]
    vectors = (centers + rng.normal(size=(60, 3)) * 0.05).astype("float32")
    clusters = Clusters(vectors, np.repeat(np.arange(3), 20), size=10, seed=0)
    p = clusters.classify(np.eye(3, dtype="float32"))
    assert p.shape == (3, 10)
    assert p.argmax(axis=1).tolist() == [0, 1, 2]


def test_shuffled_batches_show_every_sample_once_a_pass():
    x, y = np.arange(10, dtype="uint8")[:, None], np.arange(10) % 3
    batches = samples.shuffled(x, y, 5, seed=0).take(4)
    seen = [(xi[:, 0].numpy(), yi.numpy()) for xi, yi in batches]
    first = np.concatenate([a for a, _ in seen[:2]])
    second = np.concatenate([a for a, _ in seen[2:]])
    assert sorted(first) == sorted(second) == list(range(10))
    assert first.tolist() != second.tolist()
    for a, b in seen:
        assert (a % 3 == b).all()


def test_class_balanced_batches_and_smote():
    y = np.repeat([0, 1, 2], [80, 10, 4])
    x = np.random.default_rng(5).integers(0, 255, size=(94, 2, 2, 1)).astype("uint8")
    x[..., 0, 0, 0] = y
    batches = samples.class_balanced(x, y, 50, seed=0).take(20)
    labels = np.concatenate([label for _, label in batches])
    np.testing.assert_allclose(np.bincount(labels) / 1000, 1 / 3, atol=0.06)

    more, classes = samples.smote(x, y, seed=0)
    assert np.bincount(classes).tolist() == [80, 80, 80]
    np.testing.assert_array_equal(more[:94], x)
    assert (more[:, 0, 0, 0] == classes).all()  # Mixtures of one class's pixels.


@pytest.fixture(scope="module")
def task():
    rng = np.random.default_rng(6)
    y = np.repeat(np.arange(10), [30, 30, 8, 8, *[20] * 6])
    x = rng.integers(0, 60, size=(len(y), 4, 4, 1)).astype("uint8")
    x[np.arange(len(y)), y // 4, y % 4, 0] = 255

    def build(shape):
        inputs = keras.Input(shape)
        flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
        e = keras.layers.Dense(16, activation="relu")(flat)
        p = keras.layers.Dense(10, activation="softmax")(e)
        return DOSModel(inputs, {"embedding": e, "probabilities": p})

    return Task(
        x=x,
        y=y,
        minority=(2, 3),
        x_eval=x[::4],
        build=build,
        new_optimizer=lambda steps: keras.optimizers.Adam(0.01),
        batch_size=20,
        epochs=3,
        seed=0,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_every_method_takes_the_same_steps_and_learns(name, task):
    trained = METHODS[name](task)
    # r = 3 / 1: 30 / 8 is capped at 3, so Σ r_j m_j = 288 samples, 15 steps.
    assert task.steps == 15
    assert trained.steps == 45
    assert trained.seconds > 0
    p = trained.readouts["softmax"]
    assert p.shape == (len(task.x_eval), 10)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-3)
    assert np.mean(p.argmax(axis=1) == task.y[::4]) > 0.3  # Chance is .1.


@pytest.mark.slow
@pytest.mark.parametrize("form", ["alone", "no neighbors", "DOS"])
@pytest.mark.parametrize("name", ["mixup", "LDAM", "weight averaging"])
def test_recipes_take_the_same_steps_with_dos_and_without(name, form, task):
    trained = METHODS["recipe"](task, name=name, form=form)
    assert trained.steps == 45
    correct = trained.readouts["softmax"].argmax(axis=1) == task.y[::4]
    assert np.mean(correct) > 0.3
    rounds = {"embedding_loss", "loss"} <= set(trained.history)
    assert rounds == (form != "alone")
    assert bool(np.any(trained.history.get("embedding_loss", 0))) == (form == "DOS")


@pytest.mark.slow
def test_a_larger_r_of_dos_means_fewer_epochs(task):
    trained = METHODS["dos"](task, r="balance", k_majority=0)
    # 30 in each class: 300 samples, 15 steps: still three epochs.
    assert trained.steps == 45
    trained = METHODS["dos"](task, r={2: 9, 3: 9, 0: 2})
    assert trained.steps == 2 * task.steps_of({2: 9, 3: 9, 0: 2})


def test_readouts_of_the_embedding_and_post_hoc(task):
    trained = METHODS["plain"](task)
    p = trained.readouts["softmax"]
    prior = task.counts / len(task.y)
    expected = np.array([row / prior / sum(row / prior) for row in p])
    np.testing.assert_allclose(trained.readouts["post-hoc 1.0"], expected, rtol=1e-4)
    for name in ("knn", "lr", "retrained head"):
        assert np.mean(trained.readouts[name].argmax(axis=1) == task.y[::4]) > 0.5


@pytest.fixture(scope="module")
def unchanged(task):
    return METHODS["dos"](task, warmup_epochs=1, k=3).readouts["softmax"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        "equal_w",
        "no_shares",
        "live_alone",
        "soft_shares",
        "differentiated_shares",
        "mixed",
        "ramp",
        "adjusted_warmup",
        "prior_of_samples",
        "shares_at_.1",
    ],
)
def test_every_change_changes_the_training(change, task, unchanged):
    changed = METHODS["dos"](task, change=change, warmup_epochs=1, k=3)
    assert np.abs(unchanged - changed.readouts["softmax"]).max() > 1e-6


@pytest.mark.slow
def test_changes_add_up(task, unchanged):
    """The names in full of what the defaults are, and of something else."""

    def trained(change):
        model = METHODS["dos"](task, change=change, warmup_epochs=1, k=3)
        return model.readouts["softmax"]

    same = trained("prior_of_quadruplets+sharp_shares")
    np.testing.assert_array_equal(same, unchanged)
    former = trained("former_defaults")
    for change in ("prior_of_samples", "shares_at_.1", "prior_of_samples+shares_at_.1"):
        assert np.abs(former - trained(change)).max() > 1e-6


def test_averaged_embeddings_are_those_of_a_loop():
    table = stored_embeddings.AveragedRows(m=3, d=2)
    expected = {}
    rng = np.random.default_rng(4)
    for epoch, rows in enumerate(([0, 2], [2, 1], [2, 0])):
        table.begin_epoch(epoch)
        values = rng.normal(size=(2, 2)).astype("float32")
        table.record(rows, values)
        for row, value in zip(rows, values, strict=True):
            before = expected.get(row, value)
            expected[row] = [(a + b) / 2 for a, b in zip(before, value, strict=True)]
    embeddings = np.empty((3, 2), np.float32)
    assert table.read(np.arange(3), embeddings).all()
    np.testing.assert_allclose(embeddings, [expected[i] for i in range(3)], rtol=1e-6)


def test_an_averaged_encoder_embeds_by_the_averages_and_leaves_the_weights():
    embedder = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    embedder.set_weights([np.array([[1.0]]), np.array([0.0])])
    source = InMemory(np.array([[2.0], [3.0]]), np.array([0, 0]))
    table = np.zeros((2, 1), np.float32)
    encoder = stored_embeddings.AveragedEncoder(source, embedder, table, True)
    embedder.set_weights([np.array([[101.0]]), np.array([0.0])])
    assert not encoder.available(0)
    encoder.record([0], [[0.0]])  # The average is .99 · 1 + .01 · 101 = 2.
    embeddings = encoder.read(np.arange(2), epoch=1)
    np.testing.assert_allclose(embeddings, [[4.0], [6.0]], rtol=1e-6)
    assert float(embedder.get_weights()[0][0, 0]) == 101.0


@pytest.mark.parametrize("source", stored_embeddings.SOURCES)
def test_averages_are_refused_where_steps_record_nothing(source, task):
    with pytest.raises(ValueError, match='must be "training" for averages'):
        METHODS["dos"](task, source=source, embeddings="pass")


@pytest.mark.slow
# After 15 steps an average of weights is still close to the first of them.
@pytest.mark.filterwarnings("ignore:The embeddings in training lie far:UserWarning")
@pytest.mark.parametrize("source", stored_embeddings.SOURCES)
def test_every_source_of_stored_embeddings_changes_the_training(
    source, task, unchanged
):
    changed = METHODS["dos"](task, source=source, warmup_epochs=1, k=3)
    assert np.abs(unchanged - changed.readouts["softmax"]).max() > 1e-6
