"""DOSModel as a Keras model: parts, saving, cloning, features of `compile`."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.model_selection import cross_val_score
from toy import blobs, compiled, largest_difference, network

from keras_dos import DOSModel, OverloadingCallback


def dos_weights(model, x, y, epochs=3, **kwargs):
    callback = OverloadingCallback(k=3, warmup_epochs=1)
    model.fit(
        x, y, batch_size=16, epochs=epochs, verbose=0, callbacks=[callback], **kwargs
    )
    return model.get_weights()


def test_the_parts_share_weights_and_compose():
    model = network()
    x = np.random.default_rng(0).normal(size=(9, 6)).astype("float32")
    whole = model.predict(x, verbose=0)
    embedding = model.embedder.predict(x, verbose=0)
    np.testing.assert_array_equal(embedding, whole["embedding"])
    np.testing.assert_allclose(
        model.head.predict(embedding, verbose=0), whole["probabilities"], rtol=1e-6
    )
    model.set_weights([w + 0.1 for w in model.get_weights()])
    np.testing.assert_allclose(
        model.classifier.predict(x, verbose=0),
        model.predict(x, verbose=0)["probabilities"],
        rtol=1e-6,
    )
    assert abs(whole["probabilities"] - model.classifier(x)).numpy().max() > 1e-3


def test_the_parts_are_not_layers_of_the_model():
    model = network()
    _ = model.classifier, model.embedder, model.head
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    assert len(model.weights) == 6


def classifier(head_dropout=True):
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(8, activation="relu", name="features"),
            keras.layers.Dropout(0.3 if head_dropout else 0.0),
            keras.layers.Dense(7, activation="relu"),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


@pytest.mark.slow
def test_from_classifier_takes_a_head_of_several_layers_with_dropout():
    x, y = blobs()
    source = classifier()
    model = compiled(DOSModel.from_classifier(source, embedding="features"))
    before = source.get_weights()
    dos_weights(model, x, y)
    assert largest_difference(before, source.get_weights()) > 1e-3
    np.testing.assert_allclose(
        source.predict(x, verbose=0), model.classifier.predict(x, verbose=0)
    )
    assert len(model.head.layers) == 4


@pytest.mark.slow
def test_from_classifier_takes_a_pooled_backbone():
    keras.utils.set_random_seed(0)
    backbone = keras.applications.MobileNetV2(
        (32, 32, 3), alpha=0.35, include_top=False, weights=None, pooling="avg"
    )
    inputs = keras.Input((32, 32, 3))
    backbone.trainable = False  # As one fine-tunes: the head first.
    features = backbone(keras.layers.Rescaling(1 / 127.5, -1)(inputs))
    outputs = keras.layers.Dense(2, activation="softmax")(features)
    source = keras.Model(inputs, outputs)
    model = compiled(DOSModel.from_classifier(source, embedding=backbone.name))
    x = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), "uint8")
    y = np.array([0] * 9 + [1] * 3)
    before = outputs_of_head(model)
    dos_weights(model, x, y, epochs=3)
    after = outputs_of_head(model)
    assert np.isfinite(after).all()
    assert np.abs(after - before).max() > 1e-3


def test_a_layer_of_the_embedding_cannot_be_used_again_in_the_head():
    inputs, again = keras.Input((4,)), keras.layers.Dense(4, name="again")
    e = again(inputs)
    p = keras.layers.Dense(3, activation="softmax")(again(e))
    with pytest.raises(ValueError, match=r"Identity\(\) after it.*'again' in both"):
        DOSModel(inputs, {"embedding": e, "probabilities": p})
    skip = keras.layers.Dense(3, activation="softmax")(again(e) + inputs)
    with pytest.raises(ValueError, match="and from nothing else"):
        DOSModel(inputs, {"embedding": e, "probabilities": skip})
    # As the error says; and a layer that is not the last one of the embedding.
    other = keras.layers.Dense(4)
    e = keras.layers.Identity()(again(other(inputs)))
    p = keras.layers.Dense(3, activation="softmax")(other(again(e)))
    model = DOSModel(inputs, {"embedding": e, "probabilities": p})
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    np.testing.assert_allclose(
        model.head(model.embedder(x)), model.classifier(x), rtol=1e-6
    )


def outputs_of_head(model):
    d = model.head.input_shape[-1]
    return model.head.predict(np.eye(4, d), verbose=0)


@pytest.mark.slow
def test_a_head_with_batch_normalization_trains_on_what_it_will_see():
    x, y = blobs()
    head = [keras.layers.BatchNormalization(momentum=0.0)]
    model = compiled(network(head=head), learning_rate=0.0)
    dos_weights(model, x, y, epochs=4)
    embedding = model.embedder.predict(x, verbose=0)
    np.testing.assert_allclose(head[0].moving_mean, embedding.mean(0), atol=0.3)
    np.testing.assert_allclose(head[0].moving_variance, embedding.var(0), atol=0.3)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda x, e, p: DOSModel(x, p), "two outputs"),
        (lambda x, e, p: DOSModel(x, [e, p]), "two outputs"),
        (lambda x, e, p: DOSModel(x, {"features": e, "probabilities": p}), "two outp"),
        (
            lambda x, e, p: DOSModel(
                x, {"embedding": e, "probabilities": keras.layers.Dense(3)(e)}
            ),
            "looks like logits.*softmax",
        ),
        (
            lambda x, e, p: DOSModel(
                x,
                {
                    "embedding": e,
                    "probabilities": keras.layers.Dense(1, activation="sigmoid")(e),
                },
            ),
            "one column per class",
        ),
        (
            lambda x, e, p: DOSModel(
                x,
                {
                    "embedding": keras.layers.Reshape((2, 2))(e),
                    "probabilities": p,
                },
            ),
            "must have shape",
        ),
        (
            lambda x, e, p: DOSModel(
                x,
                {
                    "embedding": e,
                    "probabilities": keras.layers.Dense(3, activation="softmax")(x),
                },
            ),
            "must be computed from the output",
        ),
    ],
)
def test_outputs_that_cannot_work_are_refused(build, message):
    x = keras.Input((6,))
    e = keras.layers.Dense(4)(x)
    p = keras.layers.Dense(3, activation="softmax")(e)
    with pytest.raises(ValueError, match=f"(?s){message}.*Received: "):
        build(x, e, p)


def test_a_model_is_refused_that_skips_past_its_embedding():
    x = keras.Input((6,))
    e = keras.layers.Dense(4)(x)
    p = keras.layers.Dense(3, activation="softmax")(keras.layers.Concatenate()([x, e]))
    with pytest.raises(ValueError, match="must be computed from the output"):
        DOSModel(x, {"embedding": e, "probabilities": p})


def test_from_classifier_names_the_layers_there_are():
    with pytest.raises(ValueError, match=r"'features'.*Received: embedding='top'"):
        DOSModel.from_classifier(classifier(), embedding="top")


def test_from_classifier_searches_a_residual_network_once():
    """It has 2^60 paths from the output to the first layer."""
    inputs = keras.Input((6,))
    x = first = keras.layers.Dense(4, name="first")(inputs)
    for _ in range(60):
        x = keras.layers.Add()([x, keras.layers.Rescaling(0.01)(x)])
    outputs = keras.layers.Dense(3, activation="softmax")(x)
    source = keras.Model(inputs, outputs)
    model = DOSModel.from_classifier(source, embedding="first")
    assert model.output["embedding"] is first
    with pytest.raises(ValueError, match=r"^`embedding` must.*Received: .*'last'"):
        DOSModel.from_classifier(source, embedding="last")


def test_from_classifier_refuses_a_model_without_a_graph():
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match="functional or sequential"):
        DOSModel.from_classifier(Subclassed(), embedding="a")


def test_from_classifier_refuses_the_last_layer_as_the_embedding():
    source = classifier()
    last = source.layers[-1].name
    with pytest.raises(ValueError, match=f"before the last one.*Received: .*{last}"):
        DOSModel.from_classifier(source, embedding=last)


def test_from_classifier_refuses_two_outputs_for_what_they_are():
    inputs = keras.Input((6,))
    e = keras.layers.Dense(4, name="features")(inputs)
    p = keras.layers.Dense(3, activation="softmax")(e)
    for source, received in (
        (keras.Model(inputs, [e, p]), "outputs 2"),
        (DOSModel(inputs, {"embedding": e, "probabilities": p}), "'embedding', 'prob"),
    ):
        with pytest.raises(ValueError, match=rf"one output.*Received: .*{received}"):
            DOSModel.from_classifier(source, embedding="features")


def test_a_hidden_softmax_is_trusted_and_hidden_logits_are_not():
    x, y = blobs()
    inputs = keras.Input((6,))
    e = keras.layers.Dense(4)(inputs)
    for activation, error in (("softmax", None), (None, "sum to one")):
        head = keras.Sequential([keras.layers.Dense(3, activation=activation)])
        model = DOSModel(inputs, {"embedding": e, "probabilities": head(e)})
        compiled(model)
        if error is None:
            dos_weights(model, x, y)
        else:
            with pytest.raises(ValueError, match=error):
                dos_weights(model, x, y)


@pytest.mark.parametrize("overloaded", [False, True])
@pytest.mark.parametrize(
    "loss",
    [
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        {"probabilities": "sparse_categorical_crossentropy"},
        ["sparse_categorical_crossentropy"] * 2,
        None,
    ],
)
def test_losses_that_cannot_work_are_refused(loss, overloaded):
    x, y = blobs()
    model = compiled(network(), loss=loss)
    callbacks = [OverloadingCallback()] if overloaded else []
    with pytest.raises(ValueError, match=r"(?s)DOSModel.*Received: loss="):
        model.fit(x, y, verbose=0, callbacks=callbacks)


def test_a_loss_that_averages_over_the_batch_is_refused():
    x, y = blobs()

    def mean_loss(y_true, y_pred):
        loss = keras.losses.sparse_categorical_crossentropy(y_true, y_pred)
        return keras.ops.mean(loss)

    model = compiled(network(), loss=mean_loss)
    with pytest.raises(ValueError, match="one value per example"):
        dos_weights(model, x, y)


@pytest.mark.slow
@pytest.mark.parametrize(
    "loss",
    [
        "crossentropy",
        keras.losses.SparseCategoricalCrossentropy(),
        "SparseCategoricalCrossentropy",
        lambda y, p: keras.losses.sparse_categorical_crossentropy(y, p),
    ],
)
def test_every_way_to_name_the_loss_trains_the_same(loss):
    x, y = blobs()
    expected = dos_weights(compiled(network()), x, y)
    actual = dos_weights(compiled(network(), loss=loss), x, y)
    assert largest_difference(expected, actual) < 1e-6


@pytest.mark.slow
def test_any_loss_serves_as_h():
    x, y = blobs()
    y = keras.utils.to_categorical(y, 3)
    focal = keras.losses.CategoricalFocalCrossentropy(label_smoothing=0.1)
    model = compiled(network(), loss=focal)
    before = model.get_weights()
    assert largest_difference(before, dos_weights(model, x, y)) > 1e-3


class MeanLoss(keras.losses.Loss):
    """A loss that Keras can use, but that has no value per example."""

    def __call__(self, y_true, y_pred, sample_weight=None):
        loss = keras.losses.sparse_categorical_crossentropy(y_true, y_pred)
        return keras.ops.mean(loss)


def test_a_loss_that_cannot_serve_as_h_still_trains_plainly():
    x, y = blobs()
    model = compiled(network(), loss=MeanLoss())
    assert model.fit(x, y, verbose=0).history["loss"][0] > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss_weights": 0.5}, "`loss_weights` must be left.*Received: loss_weights"),
        (
            {"loss": keras.losses.SparseCategoricalCrossentropy(reduction="none")},
            "must be reduced.*Received: reduction='none'",
        ),
        ({"loss": MeanLoss()}, "must implement `call.*Received: MeanLoss, which"),
    ],
)
def test_what_compile_cannot_mean_with_the_callback_is_refused(settings, message):
    x, y = blobs()
    with pytest.raises(ValueError, match=message):
        dos_weights(compiled(network(), **settings), x, y)


@pytest.mark.parametrize("name", ["ParameterServerStrategy", "TPUStrategy"])
def test_strategies_that_cannot_hold_the_rounds_are_refused(name, monkeypatch):
    kind = getattr(tf.distribute, name)
    strategy = type(name, (kind,), {"__init__": lambda self: None})()
    model = compiled(network())
    monkeypatch.setattr(DOSModel, "distribute_strategy", strategy)
    message = f"MirroredStrategy.*MultiWorkerMirroredStrategy.*Received: {name}"
    with pytest.raises(ValueError, match=message):
        dos_weights(model, *blobs())


def test_a_model_with_nothing_to_train_is_refused():
    x, y = blobs()
    model = network()
    model.trainable = False
    with pytest.raises(ValueError, match="nothing to train"):
        dos_weights(compiled(model), x, y)


@pytest.mark.parametrize("reduction", ["sum", "mean_with_sample_weight"])
def test_the_reduction_of_the_loss_is_kept(reduction):
    x, y = blobs((20, 20, 20))
    weights = np.random.default_rng(0).uniform(0.5, 2, 60)
    loss = keras.losses.SparseCategoricalCrossentropy(reduction=reduction)
    plain, dos = (compiled(network(), 1e-3, loss=loss) for _ in range(2))
    settings = {
        "batch_size": 60,
        "shuffle": False,
        "verbose": 0,
        "sample_weight": weights,
    }
    plain.fit(x, y, **settings)
    callback = OverloadingCallback(k=0, warmup_epochs=0)
    dos.fit(x, y, callbacks=[callback], **settings)
    assert largest_difference(plain.get_weights(), dos.get_weights()) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize(
    "feature",
    [
        {"run_eagerly": True},
        {"steps_per_execution": 3},
        {"jit_compile": True},
    ],
)
def test_features_of_compile_change_nothing(feature):
    x, y = blobs()
    expected = dos_weights(compiled(network()), x, y)
    actual = dos_weights(compiled(network(), **feature), x, y)
    assert largest_difference(expected, actual) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [True, False])
def test_the_search_embeds_with_or_without_xla_as_compile_says(jit_compile):
    x, y = blobs()
    model = compiled(network(), jit_compile=jit_compile)
    dos_weights(model, x, y, epochs=2)
    assert model.embedder.jit_compile is jit_compile


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_learns(policy):
    x, y = blobs((60, 60, 12))
    keras.config.set_dtype_policy(policy)
    try:
        model = compiled(network(scale=30.0))
        history = model.fit(
            x, y, epochs=15, verbose=0, callbacks=[OverloadingCallback()]
        ).history
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.embedder.compute_dtype == policy.removeprefix("mixed_")
    assert history["accuracy"][-1] > 0.85
    assert np.isfinite(history["loss"]).all()


@pytest.mark.slow
def test_metrics_validation_evaluate_and_predict_are_those_of_keras():
    x, y = blobs()
    model = compiled(
        network(),
        metrics=["accuracy"],
        weighted_metrics=["sparse_categorical_accuracy"],
    )
    history = model.fit(
        x,
        y,
        epochs=3,
        verbose=0,
        validation_data=(x, y),
        callbacks=[OverloadingCallback()],
    ).history
    logs = model.evaluate(x, y, verbose=0, return_dict=True)
    assert set(logs) == {"loss", "accuracy", "sparse_categorical_accuracy"}
    for name, value in logs.items():
        np.testing.assert_allclose(history[f"val_{name}"][-1], value, rtol=1e-5)
    assert len(model.evaluate(x, y, verbose=0)) == 3
    p = model.predict(x, verbose=0)["probabilities"]
    np.testing.assert_allclose(logs["accuracy"], (p.argmax(1) == y).mean(), rtol=1e-6)
    expected = -np.log(p[np.arange(len(y)), y]).mean()
    np.testing.assert_allclose(logs["loss"], expected, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({}, 3),  # 32, as in Keras.
        ({"batch_size": 20}, 4),
        ({"batch_size": 20, "validation_batch_size": 39}, 2),
    ],
)
def test_the_batch_size_of_the_validation_is_that_of_keras(sizes, expected):
    x, y = blobs()
    steps = {}
    for callbacks in ([], [OverloadingCallback(k=3, embeddings="pass")]):
        seen = []
        counter = keras.callbacks.LambdaCallback()
        counter.on_test_batch_end = lambda batch, logs, seen=seen: seen.append(batch)
        compiled(network()).fit(
            x,
            y,
            validation_data=(x, y),
            verbose=0,
            callbacks=[*callbacks, counter],
            **sizes,
        )
        steps[len(callbacks)] = len(seen)
    assert steps == {0: expected, 1: expected}


@pytest.mark.slow
def test_weighted_metrics_take_the_sample_weights_as_in_keras():
    x, y = blobs()
    weights = np.where(y == 2, 9.0, 0.5)
    name = "sparse_categorical_accuracy"
    plain, dos = (
        compiled(network(), learning_rate=0.0, weighted_metrics=[name]).fit(
            x, y, sample_weight=weights, verbose=0, callbacks=callbacks
        )
        for callbacks in ([], [OverloadingCallback(k=0, r=1, warmup_epochs=0)])
    )
    for metric in ("accuracy", name):
        np.testing.assert_allclose(
            dos.history[metric], plain.history[metric], rtol=1e-6
        )
    assert abs(dos.history["accuracy"][0] - dos.history[name][0]) > 1e-2


def test_train_metrics_are_those_of_the_live_embedding():
    x, y = blobs((20, 20, 20))
    model = compiled(network(), learning_rate=0.0)
    history = model.fit(
        x,
        y,
        verbose=0,
        callbacks=[OverloadingCallback(warmup_epochs=0, embeddings="pass")],
    ).history
    p = model.predict(x, verbose=0)["probabilities"]
    accuracy = (p.argmax(1) == y).mean()
    np.testing.assert_allclose(history["accuracy"], accuracy, rtol=1e-6)


@pytest.mark.slow
def test_a_saved_model_goes_on_as_if_never_saved(tmp_path):
    x, y = blobs()
    model = compiled(network(), optimizer="adam")
    dos_weights(model, x, y)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded) is DOSModel
    np.testing.assert_array_equal(
        loaded.classifier.predict(x, verbose=0), model.classifier.predict(x, verbose=0)
    )
    assert largest_difference(dos_weights(model, x, y), dos_weights(loaded, x, y)) == 0


def test_weights_files_are_those_of_the_plain_network(tmp_path):
    model, other = network(), network(seed=1)
    _ = model.head, model.embedder, model.classifier
    model.save_weights(tmp_path / "a.weights.h5")
    other.load_weights(tmp_path / "a.weights.h5")
    assert largest_difference(model.get_weights(), other.get_weights()) == 0


@pytest.mark.slow
def test_a_clone_is_a_model_of_its_own():
    x, y = blobs()
    model = network()
    clone = keras.models.clone_model(model)
    assert type(clone) is DOSModel
    clone.set_weights(model.get_weights())
    expected = dos_weights(compiled(model), x, y)
    assert largest_difference(expected, clone.get_weights()) > 1e-3
    assert largest_difference(expected, dos_weights(compiled(clone), x, y)) == 0


def test_without_the_callback_it_is_a_plain_classifier():
    x, y = blobs()
    plain = compiled(network())
    reference = classifier_of(plain)
    compiled(reference)
    settings = {"epochs": 2, "verbose": 0, "shuffle": False, "validation_split": 0.2}
    a = plain.fit(x, y, **settings).history
    b = reference.fit(x, y, **settings).history
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_allclose(a[name], b[name], rtol=1e-5)
    plain.train_on_batch(x, y)


def classifier_of(model):
    """A plain Keras model with the same weights of its own."""
    clone = keras.models.clone_model(model.classifier)
    clone.set_weights(model.classifier.get_weights())
    return clone


def test_an_uncompiled_model_is_refused_by_keras():
    x, y = blobs()
    with pytest.raises(ValueError, match="compile"):
        network().fit(x, y, callbacks=[OverloadingCallback()])


@pytest.mark.slow
def test_trainings_follow_each_other():
    """Each `fit` has its own objective; a plain one in between stays plain."""
    x, y = blobs()
    model = compiled(network())
    dos_weights(model, x, y)
    assert "embedding_loss" not in model.fit(x, y, verbose=0).history
    history = model.fit(
        x,
        y,
        verbose=0,
        callbacks=[
            OverloadingCallback(
                warmup_epochs=0, embeddings="pass", embedding_weight=0.2
            )
        ],
    ).history
    np.testing.assert_allclose(
        history["loss"],
        np.add(
            history["classification_loss"], np.multiply(0.2, history["embedding_loss"])
        ),
        rtol=1e-5,
    )


@pytest.mark.slow
@pytest.mark.parametrize("structure", ["dict", "tuple"])
def test_inputs_may_be_nested(structure):
    x, y = blobs()
    a, b = keras.Input((2,), name="a"), keras.Input((4,), name="b")
    inputs = {"a": a, "b": b} if structure == "dict" else (a, b)
    e = keras.layers.Dense(5)(keras.layers.Concatenate()([a, b]))
    p = keras.layers.Dense(3, activation="softmax")(e)
    model = compiled(DOSModel(inputs, {"embedding": e, "probabilities": p}))
    parts = (x[:, :2], x[:, 2:])
    data = dict(zip("ab", parts, strict=True)) if structure == "dict" else parts
    before = model.get_weights()
    assert largest_difference(before, dos_weights(model, data, y)) > 1e-3
    dataset = tf.data.Dataset.from_tensor_slices((data, y)).batch(16)
    model.fit(dataset, epochs=2, verbose=0, callbacks=[OverloadingCallback()])


class ProbabilityModel(DOSModel):
    def predict(self, x, **kwargs):
        return super().predict(x, **kwargs)["probabilities"]


@pytest.mark.slow
def test_scikit_learn_validates_a_model_that_predicts_probabilities_alone():
    x, y = blobs((40, 40, 12))
    models, rounds = [], []

    def build(X, y):  # noqa: N803
        keras.utils.set_random_seed(0)
        inputs = keras.Input(X.shape[1:])
        e = keras.layers.Dense(8, activation="tanh")(inputs)
        p = keras.layers.Dense(y.shape[1], activation="softmax")(e)
        model = ProbabilityModel(inputs, {"embedding": e, "probabilities": p})
        models.append(model)
        return compiled(model, learning_rate=0.3, loss="categorical_crossentropy")

    def note(logs):
        rounds.append(models[-1].rounds)

    scores = cross_val_score(
        keras.wrappers.SKLearnClassifier(build),
        x,
        np.array(["a", "b", "c"])[y],
        cv=2,
        error_score="raise",
        params={
            "epochs": 30,
            "verbose": 0,
            "callbacks": [
                OverloadingCallback(k=3),
                keras.callbacks.LambdaCallback(on_train_begin=note),
            ],
        },
    )
    assert min(scores) > 0.6
    assert len(rounds) == 2
    assert None not in rounds
