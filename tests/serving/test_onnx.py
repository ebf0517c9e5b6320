"""A trained model as ONNX, for servers and devices that run that."""

import keras
import numpy as np
import pytest
from guide import block
from servable import children
from toy import blobs, compiled, network

from keras_dos import OverloadingCallback
from keras_dos.networks import c6_c16_f400_f120

onnxruntime = pytest.importorskip("onnxruntime")
for exporter in ("onnx", "tf2onnx"):
    pytest.importorskip(exporter)

# Of Keras' exporter, which asks NumPy for an alias that it no longer has.
pytestmark = pytest.mark.filterwarnings("ignore:.*`np.object`:FutureWarning")


def overloaded(model, x, y):
    callback = OverloadingCallback(k=2, neighbor_search="exact")
    compiled(model, learning_rate=0.01).fit(
        x, y, epochs=3, callbacks=[callback], verbose=0
    )
    return model


def answers(file, x):
    session = onnxruntime.InferenceSession(file)
    (given,) = session.get_inputs()
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {given.name: x}), strict=True))


def images_of_blobs():
    x, y = blobs(counts=(20, 12, 6), d=192)
    return (255 / (1 + np.exp(-x))).reshape(-1, 8, 8, 3).astype("float32"), y


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "data"),
    [
        (network, lambda: blobs(counts=(20, 12, 6))),
        (lambda: c6_c16_f400_f120((16, 16, 3), n_classes=3), images_of_blobs),
    ],
)
def test_a_model_is_the_same_as_onnx_right_after_training(
    model, data, tmp_path, monkeypatch
):
    keras.utils.set_random_seed(0)
    x, y = data()
    if x.ndim == 4:
        x = np.repeat(np.repeat(x, 2, axis=1), 2, axis=2)
    trained = overloaded(model(), x, y)
    monkeypatch.chdir(tmp_path)
    exec(block("python", "onnx"), {"model": trained})
    (file,) = children(tmp_path)
    expected = trained.predict(x, verbose=0)
    for m in (len(x), 1):  # The batch is free.
        answer = answers(file, x[:m])
        assert answer.keys() == expected.keys() == {"embedding", "probabilities"}
        for name, values in expected.items():
            np.testing.assert_allclose(answer[name], values[:m], rtol=1e-4, atol=1e-5)
