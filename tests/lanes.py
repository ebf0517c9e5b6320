"""Properties that hold for any input: a few examples in the fast lane, many in slow."""

import functools
import inspect

import pytest
from hypothesis import HealthCheck, given, settings

MORE = 8
"""How many times as many examples the slow lane tries."""


def holds(examples, **strategies):
    """Make a test of a function, some of whose arguments are drawn.

    The others, such as fixtures, come from pytest. Draws follow from the test alone, so
    that both lanes are the same each time.

    Args:
        examples: How many draws the fast lane tries.
        **strategies: How to draw the arguments.
    """

    def decorate(check):
        others = [
            parameter
            for name, parameter in inspect.signature(check).parameters.items()
            if name not in strategies
        ]

        @functools.wraps(check)
        def test(lane, **given_by_pytest):
            lane_settings = settings(
                max_examples=lane,
                derandomize=True,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow],
            )
            lane_settings(given(**strategies)(check))(**given_by_pytest)

        lane = inspect.Parameter("lane", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        test.__signature__ = inspect.Signature([lane, *others])
        slow = pytest.param(MORE * examples, marks=pytest.mark.slow, id="thorough")
        lanes = [pytest.param(examples, id="fast"), slow]
        return pytest.mark.parametrize("lane", lanes)(test)

    return decorate
