"""Show the examples of docstrings as code."""

from typing import Any

import griffe


class Doctests(griffe.Extension):  # type: ignore[misc]
    """Let mkdocstrings read "Example:", as the docstrings have it, as a section.

    It knows "Examples:" alone, and would show `>>>` as quotations three deep.
    """

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rename the section in a docstring."""
        if obj.docstring is not None:
            lines = obj.docstring.value.splitlines()
            obj.docstring.value = "\n".join(
                "Examples:" if line == "Example:" else line for line in lines
            )
