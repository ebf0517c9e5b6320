"""Put the pages of the whole repository on the site, and make the API reference."""

from pathlib import Path

import reference
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PUBLISHED = (
    "*.md",
    "CITATION.cff",
    "LICENSE",
    "docs/*.md",
    "docs/*.png",
    "docs/pictures/*.svg",
    "benchmarks/REPORT.md",
    "benchmarks/results/*.csv",
    "benchmarks/results/*.md",
    "benchmarks/results/*.png",
    "examples/README.md",
    "examples/*.ipynb",
    "examples/**/*.py",
)
API = "docs/api.md"
REFERENCE = "docs/reference/"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the pages of the reference below docs/api.md."""
    (section,) = (entry for entry in config.nav if "API reference" in entry)
    section["API reference"].extend(REFERENCE + name for name in _reference())
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Replace the files of docs/ by all that is published, by paths of the repository.

    MkDocs looks links up by these paths, so those that lead out of docs/ work too. The
    addresses on the site are shorter: docs/guide.md is at guide/.
    """
    docs = str(Path(config.docs_dir))
    kept = [file for file in files if file.src_dir != docs]
    paths = sorted({path for glob in PUBLISHED for path in ROOT.glob(glob)})
    for path in paths:
        name = path.relative_to(ROOT).as_posix()
        kept.append(
            File(
                name,
                str(ROOT),
                config.site_dir,
                use_directory_urls=True,
                dest_uri=_address(name),
            )
        )
    for name, text in _reference().items():
        page = File.generated(config, REFERENCE + name, content=text)
        page.dest_uri = _address(REFERENCE + name)
        kept.append(page)
    return Files(kept)


def on_page_markdown(
    markdown: str, page: Page, config: MkDocsConfig, files: Files
) -> str:
    """Link the names of docs/api.md to their docstrings."""
    return reference.linked(markdown) if page.file.src_uri == API else markdown


def _reference() -> dict[str, str]:
    return reference.pages((ROOT / API).read_text("utf-8"))


def _address(name: str) -> str:
    """Where on the site a file of the repository is."""
    if name == "README.md":  # MkDocs would take it for the home page.
        return "quick-start/index.html"
    name = name.removeprefix("docs/")
    if not name.endswith(".md"):
        return name
    if name in ("index.md", "examples/README.md"):
        return name.replace("README", "index").replace(".md", ".html")
    return name.removesuffix(".md").lower() + "/index.html"
