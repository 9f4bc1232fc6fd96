"""Which predictions are unfavourable to a person: `adverse` under [reasons] in params.toml."""

from collections.abc import Mapping, Sequence
from typing import Any

from rung_ops.errors import StageError

HIGH, LOW = "high", "low"


class BadAdverseError(StageError):
    """The setting means nothing; the message says what it may be."""


def of(settings: Mapping[str, Any], classes: Sequence[str] = ()) -> str | list[str] | None:
    """Read which predictions are unfavourable.

    Args:
        settings: content of params.toml.
        classes: of the target; none if it is a number, or true or false.

    Returns:
        HIGH or LOW, or the unfavourable classes in the order of all; None if nothing is said.

    Raises:
        BadAdverseError: it is something else.
    """
    given = settings.get("reasons", {}).get("adverse")
    if given is None:
        return None
    if not classes and given in (HIGH, LOW):
        return str(given)
    if classes and isinstance(given, list):
        named = [name for name in classes if name in given]
        if len(named) == len(given) and 0 < len(named) < len(classes):
            return named
    expected = f'"{HIGH}" or "{LOW}"'
    if classes:
        expected = f"a list with some of {', '.join(classes)}, but not with all of them"
    raise BadAdverseError(f"params.toml, [reasons]: adverse is {given!r}; expected {expected}.")
