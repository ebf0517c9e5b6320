"""Every argument of every public function takes what it should, and nothing else."""

import fnmatch
import inspect
import re
import warnings

import pytest
from arguments import FUNCTIONS, POOL, UNCHECKED
from public import public_modules


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch, tmp_path):
    """A servable is written where its name says."""
    monkeypatch.chdir(tmp_path)


def cases(slow):
    """All arguments, of slow functions in the slow lane if `slow`."""
    return [
        pytest.param(
            function,
            name,
            id=f"{function}-{name}",
            marks=[pytest.mark.slow] if slow and entry.slow else [],
        )
        for function, entry in FUNCTIONS.items()
        for name in entry.arguments
    ]


def outcome(function, name, value):
    """The error that a value raises, or None."""
    entry = FUNCTIONS[function]
    given = {**entry.needed, **entry.arguments[name].beside, name: value}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            entry.call(**given)
    except Exception as error:
        return error
    return None


def shown(value, error):
    """A value and what became of it, for the report of a test."""
    outcome = f"{type(error).__name__}: {error}" if error else "passes"
    return f"{type(value).__name__} {str(value)[:40]} -> {outcome[:150]}"


@pytest.mark.parametrize(("function", "name"), cases(slow=False))
def test_illegal_values_are_refused_by_name(function, name):
    argument = FUNCTIONS[function].arguments[name]
    told = argument.named or name
    # The argument, a part such as `counts[1]`, or beside what was received.
    pattern = re.compile(rf"`{told}\b|\b{told}=")
    faults = []
    for value in argument.illegal_values(POOL):
        error = outcome(function, name, value)
        refused = isinstance(error, TypeError | ValueError)
        if not refused or not pattern.search(str(error)):
            faults.append(shown(value, error))
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(("function", "name"), cases(slow=True))
def test_legal_values_pass(function, name):
    faults = []
    for value in FUNCTIONS[function].arguments[name].legal_values(POOL):
        error = outcome(function, name, value)
        if error is not None:
            faults.append(shown(value, error))
    assert not faults, "\n".join(faults)


# The table is complete.


def public_functions():
    """Functions, classes and public methods of all that `__all__` lists, by name."""
    for module in public_modules():
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if inspect.ismodule(value):
                continue
            yield name, value
            if inspect.isclass(value):
                yield from methods(name, value)


def methods(name, value):
    """The public methods that a class defines, but not those that override others."""
    for member in vars(value):
        method = getattr(value, member)
        # A function that is the default of a field has another name.
        own = getattr(method, "__qualname__", "") == f"{value.__name__}.{member}"
        overrides = any(hasattr(base, member) for base in value.__mro__[1:-1])
        if own and not overrides and (member[0] != "_" or member == "__call__"):
            yield f"{name}.{member}", method


def arguments_of(function):
    parameters = inspect.signature(function).parameters.values()
    named = [p for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    return {p.name for p in named} - {"self"}


def is_checked(name):
    patterns = [pattern for group in UNCHECKED.values() for pattern in group]
    return not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def test_no_public_argument_is_missing_from_the_table():
    public = {name: value for name, value in public_functions() if is_checked(name)}
    assert set(public) == set(FUNCTIONS)
    for name, value in public.items():
        assert arguments_of(value) == set(FUNCTIONS[name].arguments), name


def test_the_table_can_fail():
    """A pool that is legal or illegal through and through would show nothing."""
    for function, entry in FUNCTIONS.items():
        for name, argument in entry.arguments.items():
            assert len(argument.illegal_values(POOL)) > 10, (function, name)
            assert argument.legal_values(POOL), (function, name)
