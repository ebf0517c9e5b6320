"""Put the pages of the whole repository on the site; make reference and gallery."""

from pathlib import Path

import gallery
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
API, EXAMPLES = "docs/api.md", "examples/README.md"
# Below which entry of the navigation the pages of a folder are that is not on the disk.
MADE = {"API reference": "docs/reference/", "Examples": "examples/gallery/"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the pages that are made below those that they are made from."""
    for title, folder in MADE.items():
        (section,) = (entry for entry in config.nav if title in entry)
        section[title].extend(name for name in _made() if name.startswith(folder))
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
    for name, text in _made().items():
        page = File.generated(config, name, content=text)
        page.dest_uri = _address(name)
        kept.append(page)
    return Files(kept)


def on_page_markdown(
    markdown: str, page: Page, config: MkDocsConfig, files: Files
) -> str:
    """Link the names of docs/api.md and the examples to the pages that are made."""
    link = {API: reference.linked, EXAMPLES: gallery.linked}
    return link.get(page.file.src_uri, str)(markdown)


def _made() -> dict[str, str]:
    """Return the text of each page that is made, by its path."""
    api, examples = ((ROOT / name).read_text("utf-8") for name in (API, EXAMPLES))
    scripts = MADE["Examples"]
    of_gallery = gallery.pages(examples, ROOT / scripts)
    made = {MADE["API reference"] + n: p for n, p in reference.pages(api).items()}
    return made | {scripts + name: page for name, page in of_gallery.items()}


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
