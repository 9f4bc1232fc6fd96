"""Further checks of predictions: the hook monitor_check of [tool.rung.hooks], and those of add-ons."""

from collections.abc import Callable
from typing import Any

import polars as pl

from rung_ops import addons
from rung_ops.project import hooks

CHECK = "monitor_check"


def problems(predictions: pl.DataFrame) -> list[str]:
    """Return what the project's monitor_check and those of add-ons find.

    A check that raises, or returns something else than a list of sentences, is a problem as well:
    the rest of the report must not be lost with it.

    Args:
        predictions: rows of the prediction log in the window.

    Raises:
        HookError: pyproject.toml names a function that is missing or has another signature.
        AddonError: an add-on cannot be used.
    """
    found = []
    if own := hooks.load(CHECK):
        found += _checked(f"the hook {CHECK}", own, predictions)
    for name, function in addons.targets(CHECK):
        found += _checked(f"{CHECK} of the add-on {name}", function, predictions)
    return found


def _checked(what: str, function: Callable[..., Any], predictions: pl.DataFrame) -> list[str]:
    try:
        returned = function(predictions)
    except Exception as error:  # the hook is the user's, and may raise anything
        return [f"{what} raised {type(error).__name__}: {error}"]
    if not isinstance(returned, list):
        return [
            f"{_expected(what, type(returned).__name__)}; it must return an empty list for no problem"
        ]
    wrong = [each for each in returned if not (isinstance(each, str) and each.strip())]
    if wrong:
        return [_expected(what, f"a list with {wrong[0]!r} in it")]
    return returned


def _expected(what: str, got: str) -> str:
    return f"{what} must return a list of sentences, each a str, and returned {got}"
