"""`export_servable`: versions, what a failure leaves, what lies beside the graph."""

import importlib
import json
import os
import tempfile
import threading
from importlib import metadata
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from servable import NAMES, children, of_input
from tensorflow_serving.apis import prediction_log_pb2
from toy import network

from keras_dos import DOSModel, export_servable
from keras_dos.serving.versions import write_version
from keras_dos.serving.warmup import WARMUP_FILE


def test_versions_count_up_beside_other_names(tmp_path):
    folder = tmp_path / "a model"
    (folder / "notes").mkdir(parents=True)
    (folder / "0007").mkdir()  # A server reads it as 7.
    (folder / "3").mkdir()
    for number in ("8", "9"):
        assert export_servable(network(), str(folder)) == folder / number
    assert children(folder) == ["0007", "3", "8", "9", "notes"]
    assert children(folder / "0007") == children(folder / "3") == []


def test_an_export_that_is_overtaken_takes_the_next_version(tmp_path, monkeypatch):
    rename = Path.rename

    def overtaken(self, target):
        if target.name == "1":
            target.mkdir()
            (target / "of another export").touch()
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", overtaken)
    assert export_servable(network(), tmp_path).name == "2"
    assert children(tmp_path / "1") == ["of another export"]


def test_a_version_that_cannot_be_named_ends_the_export(tmp_path, monkeypatch):
    def refused(self, target):
        raise PermissionError("read-only")

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(PermissionError, match="read-only"):
        export_servable(network(), tmp_path / "model")
    assert children(tmp_path / "model") == []


def test_versions_written_at_once_are_all_kept(tmp_path):
    ready = threading.Barrier(8, timeout=60)
    versions = {}

    def write(number):
        def files(folder):
            (folder / "number").write_text(str(number))
            ready.wait()

        versions[number] = write_version(tmp_path, files)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert children(tmp_path) == [str(version) for version in range(1, 9)]
    for number, version in versions.items():
        assert (version / "number").read_text() == str(number)


@pytest.fixture
def read_only_folder():
    # Not below tmp_path, which another user than root cannot even enter.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        user = os.geteuid()
        if user == 0:  # Root may write anywhere.
            os.seteuid(65534)
        yield folder
        os.seteuid(user)


def test_a_read_only_folder_is_named(read_only_folder):
    with pytest.raises(PermissionError, match=read_only_folder.name):
        export_servable(network(), read_only_folder)
    assert children(read_only_folder) == []


def test_a_failing_export_raises_its_error_and_leaves_nothing(tmp_path, monkeypatch):
    def full(model, path, **kwargs):
        (Path(path) / "saved_model.pb").write_text("half")
        raise OSError("no space left on device")

    monkeypatch.setattr(tf.saved_model, "save", full)
    with pytest.raises(OSError, match="no space"):
        export_servable(network(), tmp_path / "new")
    assert children(tmp_path / "new") == []


def test_numbers_that_no_server_reads_are_not_versions(tmp_path):
    for name in ("99999999999999999999", "²", "٣"):
        (tmp_path / name).mkdir()
    assert export_servable(network(), tmp_path).name == "1"


@pytest.mark.parametrize("name", ["+8", " 8", "08"])
def test_numbers_that_a_server_reads_in_other_notations_are_versions(name, tmp_path):
    (tmp_path / name).mkdir()
    (tmp_path / "1_000").mkdir()
    assert export_servable(network(), tmp_path).name == "9"


@pytest.mark.parametrize(("side", "held"), [(4, 32), (500, 2)])
def test_warm_up_requests_stay_small(side, held, tmp_path):
    model = of_input(
        (side, side, 3),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(2, "softmax"),
    )
    images = np.full((40, side, side, 3), 7.6, "float32")
    version = export_servable(model, tmp_path, warmup_inputs=images)
    counts = []
    for record in tf.data.TFRecordDataset(str(version / WARMUP_FILE)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        (tensor,) = log.predict_log.request.inputs.values()
        values = tf.make_ndarray(tensor)
        counts.append(len(values))
        if values.dtype == object:  # Rounded, as a file can hold it.
            assert (tf.io.decode_png(values[0]).numpy() == 8).all()
    assert counts == [held, held]


def test_scaled_images_warn(tmp_path):
    model = of_input(
        (2, 2, 1), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")
    )
    images = np.full((1, 2, 2, 1), 0.5, "float32")
    with pytest.warns(UserWarning, match=r"Rescaling\(1 / 255\)") as warned:
        export_servable(model, tmp_path, warmup_inputs=images)
    assert warned[0].filename == __file__


@pytest.mark.parametrize("error", [ImportError, TypeError])
def test_without_the_protos_it_exports_and_says_what_is_missing(
    error, tmp_path, monkeypatch
):
    import_module = importlib.import_module

    def without_protos(name):
        if name.startswith("tensorflow_serving"):
            raise error("no such protos")  # TypeError: those of another protobuf.
        return import_module(name)

    monkeypatch.setattr(
        "keras_dos.serving.warmup.importlib.import_module", without_protos
    )
    with pytest.warns(
        UserWarning, match="pip install tensorflow-serving-api"
    ) as warned:
        version = export_servable(network(), tmp_path)
    assert warned[0].filename == __file__
    assert not (version / "assets.extra").exists()
    assert (version / "saved_model.pb").exists()


def test_the_card_says_what_the_version_is(served):
    text = (served.version / "model_card.json").read_text("utf-8")
    assert '"drei und drüber"' in text
    card = json.loads(text)
    assert card["classes"] == NAMES
    assert card["class_counts"] == [40, 30, 20, 10]
    assert card["probabilities_prior"] is None
    assert card["metrics"] == {"balanced accuracy": 0.75}
    assert card["parameters"] == served.model.count_params()
    assert card["versions"]["keras_dos"] == metadata.version("keras-dos")
    assert card["versions"]["tensorflow"] == tf.__version__
    assert list(card["signatures"]) == ["serving_default", "embed", "images_bytes"]
    assert card["signatures"]["serving_default"]["inputs"] == {
        "images": {"dtype": "float32", "shape": [None, 32, 32, 3]}
    }
    assert card["signatures"]["embed"]["outputs"] == {
        "embedding": {"dtype": "float32", "shape": [None, 120]}
    }


def test_the_card_tells_the_prior_of_the_probabilities(tmp_path):
    def prior(model, **arguments):
        version = export_servable(model, tmp_path, **arguments)
        return json.loads((version / "model_card.json").read_text())[
            "probabilities_prior"
        ]

    plain = of_input((4,), keras.layers.Dense(2, "softmax"))
    assert prior(plain) is None
    assert prior(plain, training_prior=[3, 1]) == [0.75, 0.25]
    assert prior(plain, training_prior=[3, 1], deployment_prior=[1, 1]) == [0.5, 0.5]


def test_export_of_keras_keeps_the_names_of_the_outputs(tmp_path):
    model = network()
    model.export(tmp_path / "plain", verbose=False)
    x = np.random.default_rng(0).normal(size=(5, 6)).astype("float32")
    loaded = tf.saved_model.load(str(tmp_path / "plain"))
    served = loaded.serve(x)
    expected = model.predict(x, verbose=0)
    assert isinstance(model, DOSModel)
    assert served.keys() == expected.keys() == {"embedding", "probabilities"}
    for name in expected:
        np.testing.assert_array_equal(served[name], expected[name])
