"""The pages of docs/: their code runs, what they link to exists."""

import csv
import inspect
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest
from code_blocks import blocks_in
from public import public_modules

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [p for p in PAGES if p.name != "serving.md"], ids=lambda p: p.name
)
def test_python_code_runs_from_top_to_bottom(page, tmp_path):
    """docs/serving.md has a test for each block in tests/serving/test_guide.py."""
    blocks = blocks_in("python", page.read_text())
    code = "\n".join(blocks)
    assert page.read_text().count("```") == 2 * len(blocks)
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning:keras_dos", "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr[-3000:]


def headings(page):
    """The anchors that a page has, as Markdown viewers make them of its headings."""
    return {
        re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    }


@pytest.mark.parametrize(
    "page",
    [*ROOT.glob("*.md"), *ROOT.glob("*/*.md")],
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_what_it_links_to_exists(page):
    for link, anchor in re.findall(
        r"\]\((?!http)([^)#]*)#?([^)]*)\)", page.read_text()
    ):
        target = page.parent / link if link else page
        assert target.exists(), link
        assert not anchor or anchor in headings(target), anchor


# The API reference.


def public_names():
    """Every name in the `__all__` of a module: where it is shortest, and what it is."""
    seen = set()
    for module in public_modules():
        for name in getattr(module, "__all__", []):
            value = getattr(module, name)
            if id(value) not in seen:
                seen.add(id(value))
                yield f"{module.__name__}.{name}", value


def documented():
    """What docs/api.md says: one line of purpose by dotted name."""
    lines = re.findall(
        r"^- `([\w.]+)`: (.+(?:\n  .+)*)$", (ROOT / "docs" / "api.md").read_text(), re.M
    )
    return {name: " ".join(text.split()) for name, text in lines}


def test_the_reference_has_every_public_name_and_no_other():
    assert {name for name, _ in public_names()} == set(documented())


def test_the_reference_says_what_docstrings_say():
    lines = documented()
    for name, value in public_names():
        purpose = inspect.getdoc(value).split("\n\n")[0]
        assert lines[name] == " ".join(purpose.split())


# The way from the paper to the code.


def test_contributing_names_what_exists():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    table = text[text.index("| in the paper") : text.index("## The rules")]
    names = re.findall(r"`([\w.]+)`", table)
    assert len(names) > 20
    for name in names:
        pkgutil.resolve_name(f"keras_dos.{name}")


def test_every_equation_of_the_method_has_a_place():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for number in (1, 2, 3, 4, 5, 7, 8, 9, 10, 11):
        assert f"({number})" in text


def test_the_guide_has_the_costs_that_were_measured():
    with (ROOT / "benchmarks" / "results" / "cost.csv").open() as file:
        measured = {row["network"]: row for row in reversed(list(csv.DictReader(file)))}
    guide = (ROOT / "docs" / "guide.md").read_text()
    for network, row in measured.items():
        figures = [row[f"{kind}, CPU"] for kind in ("warm-up", "round", "training")]
        cells = " | ".join(f"{float(figure):.2f}" for figure in figures)
        assert f"| {network} | {cells} |" in guide
