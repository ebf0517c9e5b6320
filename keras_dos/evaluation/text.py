"""Plain-text tables."""


def three_digits(values: list[float]) -> list[str]:
    """Format numbers.

    Example:
        >>> three_digits([0.25, 1])
        ['0.250', '1.000']
    """
    return [f"{value:.3f}" for value in values]


def aligned(rows: list[list[str]]) -> str:
    """Join cells into lines, the first column flush left, the others flush right.

    Example:
        >>> print(aligned([["class", "F1"], ["0", "0.250"]]))
        class     F1
        0      0.250
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(
                    cell.rjust(width)
                    for cell, width in zip(row[1:], widths[1:], strict=True)
                ),
            ]
        ).rstrip()
        for row in rows
    )
