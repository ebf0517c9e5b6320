"""What TensorBoard shows of a training: scalars, and the projector of the guide."""

import json
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import keras
import numpy as np
import pytest
from code_blocks import blocks_in
from toy import blobs, compiled, network

from keras_dos import OverloadingCallback, class_counts

GUIDE = (Path(__file__).parents[1] / "docs" / "guide.md").read_text("utf-8")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The names that the block of the guide knows when it has run, on a toy problem."""
    (code,) = [block for block in blocks_in("python", GUIDE) if "projector" in block]
    x, y = blobs()
    model = compiled(network())
    names = {"keras": keras, "np": np, "model": model, "x": x, "y": y}
    names |= {"OverloadingCallback": OverloadingCallback, "class_counts": class_counts}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("run"))
        exec(code, names)
        names["folder"] = names["folder"].absolute()
    return names


@pytest.fixture(scope="module")
def ask(trained):
    """A function that asks TensorBoard for data of a plugin, once it has read them."""
    arguments = f"--logdir={trained['folder']}", "--port=0", "--load_fast=false"
    command = [sys.executable, "-m", "tensorboard.main", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            lines = (line for line in server.stderr if " at http://" in line)
            url = next(lines).split(" at ")[1].split()[0]

            def ask(path, **query):
                address = f"{url}data/plugin/{path}?{urlencode(query)}"
                with urlopen(address, timeout=60) as answer:
                    return answer.read()

            until = time.monotonic() + 300
            while "train" not in json.loads(ask("scalars/tags")):
                assert time.monotonic() < until, "TensorBoard does not read the logs."
                time.sleep(0.2)
            yield ask
        finally:
            server.terminate()


def test_scalars_are_those_of_the_history_and_never_nan(trained, ask):
    history = trained["history"].history
    for name, values in history.items():
        points = json.loads(ask("scalars/scalars", run="train", tag=f"epoch_{name}"))
        shown = np.array([float(value) for _, _, value in points])
        assert not np.isnan(shown).any()
        np.testing.assert_allclose(shown, values, rtol=1e-6)
    for name in ("embedding_loss", "minority_variance", "majority_variance"):
        assert np.isfinite(history[name]).tolist() == [False, False, True]


def test_the_projector_has_the_embeddings_of_the_minority(trained, ask):
    assert json.loads(ask("projector/runs")) == ["."]
    (embedding,) = json.loads(ask("projector/info", run="."))["embeddings"]
    query = {"run": ".", "name": embedding["tensorName"]}
    y = trained["y"]
    assert embedding["tensorShape"] == [8, 5]  # The rarest class of 40, 30 and 8.
    vectors = np.frombuffer(ask("projector/tensor", **query), np.float32)
    expected = trained["model"].embedder.predict(trained["x"][y == 2], verbose=0)
    np.testing.assert_allclose(vectors.reshape(8, 5), expected, rtol=1e-5)
    assert ask("projector/metadata", **query).decode().split() == ["2"] * 8
