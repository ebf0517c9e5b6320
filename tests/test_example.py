"""The main job, short, on the images it falls back to without SVHN."""

import hashlib
import http.server
import io
import json
import os
import runpy
import socket
import subprocess
import sys
import threading
import time
import types
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import tensorflow as tf

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[1] / "examples" / "svhn_imbalanced.py"


@pytest.fixture(scope="module")
def example():
    """The functions of the example."""
    return runpy.run_path(str(EXAMPLE))


class Refusing(http.server.BaseHTTPRequestHandler):
    """A proxy that lets nothing through."""

    def refuse(self):
        self.send_error(403)

    do_GET = do_HEAD = do_CONNECT = refuse  # noqa: N815

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def no_network():
    """Environment variables with which no download gets out, and fails at once."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        proxy = f"http://127.0.0.1:{server.server_port}"
        yield {"http_proxy": proxy, "https_proxy": proxy, "no_proxy": ""}
        server.shutdown()


@pytest.fixture(scope="module")
def job(tmp_path_factory, no_network):
    folder = tmp_path_factory.mktemp("job")
    environment = {**os.environ}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)  # As a new user has it.
    done = subprocess.run(
        [
            sys.executable,
            str(EXAMPLE),
            "--epochs=3",
            "--k=3",
            "--reduction-rate=0.8",
            f"--data-dir={folder / 'nothing here'}",
            f"--output-dir={folder / 'pictures'}",
            f"--servable-dir={folder / 'servable'}",
        ],
        cwd=folder,
        env=environment | no_network,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, done.stdout, done.stderr


def test_it_says_what_it_runs_on(job):
    _, output, _ = job
    assert "SVHN is not prepared and cannot be downloaded (OSError: HTTP" in output
    assert "not SVHN, test set, p = 0.8" in output
    assert "Downloading" not in output


def test_it_says_how_long_it_takes(job):
    _, output, _ = job
    assert "networks train for 3 epochs of" in output
    assert "seconds on two cores, all included" in output


def test_nothing_of_tensorflow_reaches_the_user(job):
    _, _, errors = job
    assert "cuInit" not in errors
    assert "oneDNN" not in errors


def test_it_shows_counts_and_compares_three_methods(job):
    _, output, _ = job
    before, after = (
        json.loads(line.split(":")[1])
        for line in output.splitlines()
        if line.startswith("Training samples per class")
    )
    assert sum(a < b for a, b in zip(after, before, strict=True)) == 4
    for name in ("plain CNN", "over-sampling", "DOS"):
        rows = [line for line in output.splitlines() if line.startswith(name + " ")]
        assert len(rows) == 2  # Validation and test.


def test_it_draws_pictures(job):
    folder, *_ = job
    for name in ("f1", "variance", "embeddings"):
        assert (folder / "pictures" / f"{name}.png").stat().st_size > 5_000


def test_it_exports_a_servable(job):
    folder, *_ = job
    served = tf.saved_model.load(str(folder / "servable" / "1"))
    signature = served.signatures["serving_default"]
    assert list(signature.structured_input_signature[1]) == ["images"]
    assert set(signature.structured_outputs) == {"probabilities", "classes", "scores"}
    assert set(served.signatures) == {"serving_default", "embed", "images_bytes"}
    version = folder / "servable" / "1"
    assert (version / "assets.extra" / "tf_serving_warmup_requests").exists()
    card = json.loads((version / "model_card.json").read_text())
    assert 0 < card["metrics"]["balanced accuracy"] < 1


def files_of_svhn():
    """Its three files in small, by name."""
    rng = np.random.default_rng(0)
    files = {}
    for part, labels in {"train": [1, 10, 9], "test": [10, 2], "extra": [3]}.items():
        content = io.BytesIO()
        x = rng.integers(0, 256, (32, 32, 3, len(labels)), dtype=np.uint8)
        scipy.io.savemat(content, {"X": x, "y": np.array(labels, np.uint8)[:, None]})
        files[f"/{part}_32x32.mat"] = content.getvalue()
    return files


class Serving(http.server.BaseHTTPRequestHandler):
    """A host of SVHN, which remembers what it was asked for."""

    files: dict
    asked: list

    def do_HEAD(self):
        self.send_response(200)
        self.end_headers()

    def do_GET(self):
        self.asked.append(self.path)
        content = self.files[self.path]
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def host(monkeypatch):
    """A host of SVHN, and its address."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    handler = type("Handler", (Serving,), {"files": files_of_svhn(), "asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield handler, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def builder_of(handler, address, folder):
    """What the example reads of a builder of TensorFlow Datasets."""
    from tensorflow_datasets.core.download.checksums import UrlInfo
    from tensorflow_datasets.core.utils import Size

    infos = {
        address + path: UrlInfo(
            Size(len(content)), hashlib.sha256(content).hexdigest(), path[1:]
        )
        for path, content in handler.files.items()
    }
    path = folder / "svhn_cropped" / "3.1.0"
    return types.SimpleNamespace(url_infos=infos, data_path=path, name="svhn_cropped")


def test_it_downloads_what_it_needs_and_only_once(example, host, tmp_path, capsys):
    handler, address = host
    builder = builder_of(handler, address, tmp_path)
    for _ in range(2):
        train, test = map(example["read_matlab"], example["download"](builder))
        assert sorted(handler.asked) == ["/test_32x32.mat", "/train_32x32.mat"]
        stored = scipy.io.loadmat(io.BytesIO(handler.files["/train_32x32.mat"]))["X"]
        np.testing.assert_array_equal(train[0][1], stored[..., 1])
        assert train[1].tolist() == [1, 0, 9]
        assert test[1].tolist() == [0, 2]
    printed = capsys.readouterr().out
    assert printed.count("Downloading 0 MB into") == 1
    assert "--quick" in printed


def test_what_is_damaged_is_refused(example, host, tmp_path):
    handler, address = host
    builder = builder_of(handler, address, tmp_path)
    handler.files["/test_32x32.mat"] = b"Please log in to this hotspot."
    with pytest.raises(Exception, match="checksum"):
        example["download"](builder)


def test_a_silent_host_is_given_up_soon(example, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = time.monotonic()
        with pytest.raises(OSError, match=r"no answer|timed out"):
            example["check_reachable"](f"http://127.0.0.1:{silent.getsockname()[1]}/")
        assert time.monotonic() - start < 2 * example["PATIENCE"]


def test_quick_takes_a_few_thousand_of_every_class(example):
    y = np.repeat(np.arange(10), [1000, *[400] * 9])
    x = np.zeros((len(y), 1, 1, 1), np.uint8)
    part = example["part_of"](example["Images"]("all", x, y, x[:7], y[:7]), seed=0)
    assert len(part.x_train) == len(part.y_train) == 3_000
    counts = np.bincount(part.y_train)
    np.testing.assert_allclose(counts, np.bincount(y) * 3_000 / len(y), atol=1)
    assert part.name == "3,000 of the training images of all"
    assert len(part.y_test) == 7


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_counts_the_epochs_of_all_networks(example, monkeypatch, capsys):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with example["progress"](2) as advance:
        for epoch in range(2):
            print(f"line of epoch {epoch}")
            advance.on_epoch_end(epoch, {"loss": 1.0})
    assert "2/2" in terminal.getvalue()
    assert "line of" not in terminal.getvalue()
    assert capsys.readouterr().out == "line of epoch 0\nline of epoch 1\n"
