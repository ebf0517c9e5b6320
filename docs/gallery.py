"""The pages of the gallery, made from examples/README.md and the scripts."""

import re
from pathlib import Path

# The first line of a section of examples/README.md that is about a script.
SCRIPT = re.compile(r"^\[(\w+)\.py\]\(gallery/\1\.py\)$", re.MULTILINE)


def linked(text: str) -> str:
    """Return examples/README.md with links to the pages instead of the scripts."""
    return re.sub(r"\]\(gallery/(\w+)\.py\)", r"](gallery/\1.md)", text)


def pages(text: str, folder: Path) -> dict[str, str]:
    """Return the text of a page for each section of examples/README.md, by file name.

    Args:
        text: examples/README.md.
        folder: The folder of the scripts.

    Returns:
        From the name of a page to its Markdown: what the section says of the script and
        what it printed, then its code.
    """
    found = {}
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title, _, said = section.partition("\n")
        (name,) = SCRIPT.findall(said)
        code = (folder / f"{name}.py").read_text("utf-8")
        # Without a table of contents there is room for lines of code.
        found[f"{name}.md"] = (
            f"---\nhide: [toc]\n---\n# {title}\n\n{SCRIPT.sub('', said).strip()}\n\n"
            f"[{name}.py]({name}.py):\n\n```python\n{code}```\n"
        )
    return found
