"""The pages of the API reference, made from the list of public names in docs/api.md."""

import re

# An entry of docs/api.md: "- `name`: its purpose".
ENTRY = re.compile(r"^- `([\w.]+)`:", re.MULTILINE)


def linked(text: str) -> str:
    """Return docs/api.md with each name as a link to its place in the reference."""
    return ENTRY.sub(r"- [`\1`][\1]:", text)


def pages(text: str) -> dict[str, str]:
    """Return the text of a page for each section of docs/api.md, by file name.

    Args:
        text: docs/api.md.

    Returns:
        From the name of a page to its Markdown, in which `::: name` stands for the
        docstring of a name. Those of modules come without their members, which have
        sections of their own.
    """
    documented = ENTRY.findall(text)
    found = {}
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title, _, entries = section.partition("\n")
        blocks = [_block(name, documented) for name in ENTRY.findall(entries)]
        file_name = title.strip("`").lower().replace(" ", "-") + ".md"
        found[file_name] = "\n\n".join([f"# {title}", *blocks]) + "\n"
    return found


def _block(name: str, documented: list[str]) -> str:
    is_module = any(other.startswith(f"{name}.") for other in documented)
    options = "\n    options: {members: false}" if is_module else ""
    return f"::: {name}{options}"
