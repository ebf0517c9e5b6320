"""The main job, short, on the images it falls back to without SVHN."""

import http.server
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import tensorflow as tf

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[1] / "examples" / "svhn_imbalanced.py"


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
        env={**os.environ, **no_network},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, done.stdout


def test_it_says_what_it_runs_on(job):
    _, output = job
    assert "SVHN is not prepared and cannot be downloaded" in output
    assert "not SVHN, test set, p = 0.8" in output


def test_it_shows_counts_and_compares_three_methods(job):
    _, output = job
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
    folder, _ = job
    for name in ("f1", "variance", "embeddings"):
        assert (folder / "pictures" / f"{name}.png").stat().st_size > 5_000


def test_it_exports_a_servable(job):
    folder, _ = job
    served = tf.saved_model.load(str(folder / "servable" / "1"))
    signature = served.signatures["serving_default"]
    assert list(signature.structured_input_signature[1]) == ["images"]
    assert set(signature.structured_outputs) == {"probabilities", "classes", "scores"}
    assert set(served.signatures) == {"serving_default", "embed", "images_bytes"}
    version = folder / "servable" / "1"
    assert (version / "assets.extra" / "tf_serving_warmup_requests").exists()
    card = json.loads((version / "model_card.json").read_text())
    assert 0 < card["metrics"]["balanced accuracy"] < 1
