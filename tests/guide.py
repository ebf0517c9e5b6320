"""The code blocks of docs/serving.md, for the tests that run them.

Each block is asked for by `block(language, text)` with two literal strings, so that
test_guide.py can tell which blocks no test asks for.
"""

import ast
from pathlib import Path

from code_blocks import code_blocks

TEXT = (Path(__file__).parents[1] / "docs" / "serving.md").read_text("utf-8")
BLOCKS = code_blocks(TEXT)


def block(language, text):
    """Return the one block of a language that holds a text."""
    (found,) = [code for name, code in BLOCKS if name == language and text in code]
    return found


def checked_blocks(source):
    """Return the blocks that functions of a test module ask for, and run if Python."""
    found = []
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef):
            continue
        calls = [
            node
            for node in ast.walk(function)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        ]
        runs = any(call.func.id == "exec" for call in calls)
        for call in calls:
            if call.func.id == "block":
                language, text = map(ast.literal_eval, call.args)
                if language != "python" or runs:
                    found.append(block(language, text))
    return found
