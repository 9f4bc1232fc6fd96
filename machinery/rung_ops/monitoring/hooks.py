"""The project's own check of predictions: the hook monitor_check of [tool.rung.hooks]."""

import polars as pl

from rung_ops.project import hooks

CHECK = "monitor_check"


def problems(predictions: pl.DataFrame) -> list[str]:
    """Return what the project's monitor_check finds; nothing if there is no such hook.

    A check that raises, or returns something else than a list of sentences, is a problem as well:
    the rest of the report must not be lost with it.

    Args:
        predictions: rows of the prediction log in the window.

    Raises:
        HookError: pyproject.toml names a function that is missing or has another signature.
    """
    function = hooks.load(CHECK)
    if function is None:
        return []
    try:
        returned = function(predictions)
    except Exception as error:  # the hook is the user's, and may raise anything
        return [f"the hook {CHECK} raised {type(error).__name__}: {error}"]
    if not isinstance(returned, list):
        return [
            f"{_expected(type(returned).__name__)}; it must return an empty list for no problem"
        ]
    wrong = [each for each in returned if not (isinstance(each, str) and each.strip())]
    if wrong:
        return [_expected(f"a list with {wrong[0]!r} in it")]
    return returned


def _expected(got: str) -> str:
    return f"the hook {CHECK} must return a list of sentences, each a str, and returned {got}"
