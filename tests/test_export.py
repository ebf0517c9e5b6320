"""`export_servable`: versions, names, what is left after a failure."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from toy import network

from keras_dos import export_servable


def test_versions_count_up_and_serve_what_the_model_predicts(tmp_path):
    model = network()
    (tmp_path / "notes").mkdir()
    x = np.random.default_rng(0).normal(size=(5, 6)).astype("float32")
    for number in (1, 2):
        version = export_servable(model, tmp_path)
        assert version == tmp_path / str(number)
    served = tf.saved_model.load(str(version)).signatures["serving_default"]
    (name,) = served.structured_input_signature[1]
    outputs = served(**{name: tf.constant(x)})
    expected = model.predict(x, verbose=0)
    assert outputs.keys() == expected.keys()
    for key in expected:
        np.testing.assert_allclose(outputs[key], expected[key], rtol=1e-5)
    found = sorted(p.name for p in tmp_path.iterdir())
    assert found == ["1", "2", "notes"]


def test_the_next_version_follows_the_largest(tmp_path):
    (tmp_path / "7").mkdir()
    (tmp_path / "3").mkdir()
    assert export_servable(network(), tmp_path).name == "8"


def test_two_exports_at_once_get_two_versions(tmp_path, monkeypatch):
    export = keras.Model.export

    def overtaken(self, path, **kwargs):
        export(self, path, **kwargs)
        (tmp_path / "1" / "taken").mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(keras.Model, "export", overtaken)
    assert export_servable(network(), tmp_path).name == "2"


def test_a_failed_export_leaves_nothing(tmp_path, monkeypatch):
    def full(self, path, **kwargs):
        (path / "saved_model.pb").write_text("half")
        raise OSError("no space left on device")

    monkeypatch.setattr(keras.Model, "export", full)
    with pytest.raises(OSError, match="no space"):
        export_servable(network(), tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []
