"""The notebook of the quick start: it is the script, and it runs."""

from pathlib import Path

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient
from test_gallery import GALLERY, rows

NOTEBOOK = Path(__file__).parents[1] / "examples" / "quick_start.ipynb"


@pytest.fixture
def notebook():
    return nbformat.read(NOTEBOOK, as_version=4)


def cells(notebook):
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


def test_it_is_the_script_without_outputs(notebook):
    nbformat.validate(notebook)
    assert cells(notebook) == cells(jupytext.read(GALLERY / "quick_start.py"))
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) > 2
    assert not any(cell.outputs or cell.execution_count for cell in code)


@pytest.mark.slow
def test_it_runs(notebook, tmp_path):
    last = notebook.cells[-1]
    assert last.source.endswith("main()")
    last.source = last.source.removesuffix("main()") + "main(draws=1)"
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, resources=resources).execute()
    printed = "".join(o.text for o in last.outputs if o.get("name") == "stdout")
    (plain, *_), (dos, *_) = rows(printed, "plain", "DOS")
    assert 60 < plain < dos < 100
