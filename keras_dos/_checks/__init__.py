"""Validators that modules share, so that a mistake gives the same error everywhere.

A wrong type is a TypeError and a wrong value a ValueError. Each error names the
argument, says what was expected and ends with what was received.
"""

from keras_dos._checks.arrays import array, probabilities, real_array
from keras_dos._checks.choices import boolean, choice
from keras_dos._checks.classes import (
    class_counts,
    class_id,
    class_ids,
    columns_in_class_order,
    in_class_order,
)
from keras_dos._checks.functions import function
from keras_dos._checks.numbers import (
    as_float,
    finite,
    integer,
    is_integer,
    is_number,
    number,
    positive,
    seed,
)

__all__ = [
    "array",
    "as_float",
    "boolean",
    "choice",
    "class_counts",
    "class_id",
    "class_ids",
    "columns_in_class_order",
    "finite",
    "function",
    "in_class_order",
    "integer",
    "is_integer",
    "is_number",
    "number",
    "positive",
    "probabilities",
    "real_array",
    "seed",
]
