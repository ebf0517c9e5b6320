"""The code blocks of a Markdown page."""

import re


def code_blocks(text):
    """Return the language and the code of each fenced block."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def blocks_in(language, text):
    """Return the code of the blocks of one language."""
    return [code for name, code in code_blocks(text) if name == language]
