"""The documentation site: it builds, is complete, and needs no network."""

import importlib.util
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import gallery
import pictures
import pytest
import reference
import yaml
from test_docs import documented

ROOT = Path(__file__).parents[1]
API = (ROOT / "docs" / "api.md").read_text("utf-8")


class Elements(HTMLParser):
    """The ids of a page, and the addresses of what it loads by itself."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.loaded = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids.add(found.get("id"))
        if tag == "link" and found.get("rel") != "canonical":
            self.loaded.append(found["href"])
        elif tag != "a":
            self.loaded += [found[key] for key in ("src", "srcset") if key in found]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site as built by the command of CONTRIBUTING.md."""
    if importlib.util.find_spec("mkdocs") is None:
        pytest.skip("needs the extra docs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def reference_names(text):
    return re.findall(r"^::: ([\w.]+)$", text, re.M)


def test_the_reference_has_a_docstring_for_each_public_name():
    # That docs/api.md has them all is tested in test_docs.py.
    names = [n for page in reference.pages(API).values() for n in reference_names(page)]
    assert sorted(names) == sorted(documented())


def test_each_section_is_a_page_and_modules_come_without_members():
    made = reference.pages(
        "# API\n\n## Train it\n\n- `a.B`: One\n  line.\n- `a.c`: Two.\n\n"
        "## `a.c`\n\n- `a.c.d`: Three.\n"
    )
    assert made == {
        "train-it.md": "# Train it\n\n::: a.B\n\n"
        "::: a.c\n    options: {members: false}\n",
        "a.c.md": "# `a.c`\n\n::: a.c.d\n",
    }


def test_names_of_the_overview_link_to_their_docstrings():
    text = "See `a.B`.\n\n- `a.B`: One\n  `line`.\n"
    assert reference.linked(text) == "See `a.B`.\n\n- [`a.B`][a.B]: One\n  `line`.\n"


def test_each_script_of_the_gallery_is_a_page():
    folder = ROOT / "examples" / "gallery"
    text = (folder.parent / "README.md").read_text("utf-8")
    made = gallery.pages(text, folder)
    assert sorted(made) == sorted(f"{path.stem}.md" for path in folder.glob("*.py"))
    for name, page in made.items():
        code = (folder / name).with_suffix(".py").read_text("utf-8")
        assert f"```python\n{code}```\n" in page
    assert "# Text\n\nNothing but the first layers differs." in made["text.md"]
    assert "[notebook](quick_start.ipynb)" in gallery.linked(text)
    assert "(gallery/text.md)" in gallery.linked(text)
    assert "(gallery/text.py)" not in gallery.linked(text)


def test_each_page_is_in_the_navigation():
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    nav = text[text.index("nav:") : text.index("not_in_nav")]
    entries = [path for entry in yaml.safe_load(nav)["nav"] for path in entry.values()]
    flat = {p for e in entries for p in (e if isinstance(e, list) else [e])}
    pages = {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")}
    assert flat == pages | {
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "benchmarks/REPORT.md",
        "examples/README.md",
    }


def test_the_pictures_are_those_that_the_script_draws(tmp_path):
    pictures.main(tmp_path)
    drawn = {path.name for path in tmp_path.iterdir()}
    assert drawn == {path.name for path in (ROOT / "docs" / "pictures").iterdir()}
    index = (ROOT / "docs" / "index.md").read_text("utf-8")
    assert set(re.findall(r"pictures/(\w+\.svg)", index)) == drawn


@pytest.mark.parametrize("draw", [pictures.micro_cluster, pictures.rounds])
@pytest.mark.parametrize("theme", [pictures.LIGHT, pictures.DARK], ids=lambda t: t.name)
def test_no_text_of_a_picture_is_cut_off_or_covered(draw, theme):
    figure = draw(theme)
    figure.draw_without_rendering()
    texts = [
        text.get_window_extent()
        for axes in figure.axes
        for text in (*axes.texts, axes.title)
        if text.get_text()
    ]
    width, height = figure.bbox.size
    for i, box in enumerate(texts):
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= width
        assert box.y1 <= height
        assert not any(box.overlaps(other) for other in texts[:i])


@pytest.mark.slow
def test_the_built_reference_has_every_public_name(site):
    ids = {
        name
        for page in (site / "reference").rglob("index.html")
        for name in Elements(page.read_text("utf-8")).ids
    }
    assert set(documented()) <= ids


@pytest.mark.slow
def test_the_built_gallery_has_what_was_printed_and_the_code(site):
    text = (site / "examples" / "gallery" / "text" / "index.html").read_text("utf-8")
    assert "3,200 texts. Balanced accuracy" in text
    assert 'class="k">def</span>' in text


@pytest.mark.slow
def test_the_examples_of_docstrings_are_code(site):
    text = (site / "reference" / "train" / "index.html").read_text("utf-8")
    assert "&gt;&gt;&gt;" in text
    assert "&gt;&gt;&gt;" not in re.sub(r"<pre>.*?</pre>", "", text, flags=re.S)
    assert "<blockquote" not in text


@pytest.mark.slow
def test_a_page_loads_nothing_from_elsewhere_and_all_is_there(site):
    for page in site.rglob("index.html"):
        for address in Elements(page.read_text("utf-8")).loaded:
            assert not re.match(r"(\w+:)?//", address)
            assert (page.parent / address.partition("?")[0]).exists(), address
