"""The short examples, in small forms."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name, *arguments, cwd):
    """Return what an example prints."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_a_folder_of_images(tmp_path):
    printed = run("image_folder.py", cwd=tmp_path)
    balanced_accuracy = float(printed.split("balanced accuracy ")[1].split(",")[0])
    assert balanced_accuracy > 0.85


def test_two_workers(tmp_path):
    printed = run("two_workers.py", cwd=tmp_path)
    results = dict(re.findall(r"worker (\d): (test accuracy .*)", printed))
    assert results.keys() == {"0", "1"}
    assert results["0"] == results["1"]
    assert float(re.findall(r"accuracy ([\d.]+)", results["0"])[0]) > 0.85


def test_more_images_than_memory(tmp_path):
    """1.5 GB of images in a process that may take 1.2 more than at its start."""
    arguments = "--gigabytes=1.5", "--memory=1.2", f"--folder={tmp_path}"
    printed = run("streaming_tfrecord.py", *arguments, cwd=tmp_path)
    assert "24,576 images, 1.5 GB" in printed
    if sys.platform == "linux":
        assert "memory limited to 1.2 GB more than now" in printed
    balanced_accuracy = float(printed.split("balanced accuracy ")[1].split(",")[0])
    assert balanced_accuracy > 0.9
    assert not list(tmp_path.iterdir())
