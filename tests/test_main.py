"""`python -m keras_dos`: what a bug report needs to say of an installation."""

import re
import subprocess
import sys
from importlib import metadata

import pytest

from keras_dos import __main__ as report
from keras_dos import __version__, search


def rows(printed):
    """The lines of a report, by name."""
    return dict(re.split(r"\s{2,}", line, maxsplit=1) for line in printed.splitlines())


@pytest.mark.slow
def test_the_command_reports_this_installation():
    done = subprocess.run(
        [sys.executable, "-m", "keras_dos"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    said = rows(done.stdout)
    assert said["python"] == sys.version.split()[0]
    assert said["keras-dos"] == __version__
    for package in ("tensorflow", "keras", "numpy", "scikit-learn"):
        assert said[package] == metadata.version(package)
    assert "CPU:0" in said["devices"]
    assert said['search "exact"'] == "ExactSearch"
    automatic = type(search.get_search("auto")).__name__
    assert said['search "auto"'] == automatic


def test_what_is_not_installed_is_named(monkeypatch, capsys):
    def version(package):
        if package == "scann":
            raise metadata.PackageNotFoundError(package)
        return "1.2.3"

    monkeypatch.setattr(metadata, "version", version)
    report.main()
    said = rows(capsys.readouterr().out)
    assert said["scann"] == "not installed"
    assert said["pynndescent"] == "1.2.3"


def test_an_engine_that_cannot_be_imported_says_why(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pynndescent", None)
    report.main()
    said = rows(capsys.readouterr().out)
    assert said['search "nndescent"'].startswith("ImportError: pynndescent cannot")
    assert said['search "exact"'] == "ExactSearch"


def test_a_search_of_any_name_is_reported():
    with pytest.raises(ValueError, match="neighbor_search") as error:
        search.get_search("none")
    expected = str(error.value).partition("Received")[0]
    assert set(report.ENGINES) == set(re.findall(r"""["'](\w+)["']""", expected))
