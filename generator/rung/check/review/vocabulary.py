"""The vocabulary of levels/README.md: what a predicate, and the words of a change, may be."""

import re
from collections.abc import Callable
from string import Formatter
from typing import Any

from rung.check.review.advice import WORDS
from rung.check.review.evidence import COMBINING
from rung.check.review.predicates import FLAGS
from rung.levels.ladder import Capability


def _texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(text, str) for text in value)


def _regex(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(re.compile(value, FLAGS))
    except re.error:
        return False


def _regexes(value: Any) -> bool:
    return _texts(value) and all(map(_regex, value))


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _number(value: Any) -> bool:
    return isinstance(value, int) and value > 0


# For each predicate: what its value is, the keys it needs beside it and those it may have.
Check = Callable[[Any], bool]
PREDICATES: dict[str, tuple[Check, dict[str, Check], dict[str, Check]]] = {
    "exists": (_texts, {}, {}),
    "larger_than_mb": (_number, {"in": _texts}, {}),
    "depends": (_texts, {}, {}),
    "imports": (_texts, {}, {"in": _texts}),
    "calls": (_texts, {}, {"in": _texts}),
    "text": (_regex, {"in": _texts}, {}),
    "function": (lambda value: value == "" or _regex(value), {"body": _regexes, "in": _texts}, {}),
    "headings": (_regexes, {"in": _texts}, {}),
    "key": (_text, {"in": _texts}, {"matches": _regex, "at_least": _number}),
    "keys": (_texts, {"in": _texts}, {"at_least": _number}),
    "runs": (_regex, {}, {}),
    "ci_runs": (_regex, {}, {"ci_says": _regex, "by_hand": lambda value: value is True}),
    "ci_says": (_regex, {}, {"ci_runs": _regex}),
}


def follows(predicate: Any, reached: bool = True) -> bool:
    """Say whether a predicate is one that levels/README.md describes; `reached` needs a tier `used`."""
    if predicate == "reached":
        return reached
    if not isinstance(predicate, dict) or not predicate:
        return False
    kind, value = next(iter(predicate.items()))
    if kind in COMBINING:
        nested = (
            isinstance(value, list)
            and bool(value)
            and all(follows(part, reached) for part in value)
        )
        return len(predicate) == 1 and nested
    if kind in {"reached", "scheduled"}:
        return len(predicate) == 1 and follows(value, reached=False)
    if kind not in PREDICATES:
        return False
    check, needed, allowed = PREDICATES[kind]
    further = {name: entry for name, entry in predicate.items() if name != kind}
    return (
        check(value)
        and set(needed) <= set(further) <= set(needed | allowed)
        and all((needed | allowed)[name](entry) for name, entry in further.items())
    )


def problem(capability: Capability) -> str:
    """Return what is wrong with the evidence and the change of a capability; empty if nothing is."""
    for tier, predicate in capability.evidence.items():
        if not follows(predicate, reached=tier == "automated" and "used" in capability.evidence):
            return f"`evidence.{tier}` is not a predicate: {predicate}"
    if capability.applies is not None and not follows(capability.applies, reached=False):
        return f"`applies` is not a predicate: {capability.applies}"
    try:
        words = [word for _, word, _, _ in Formatter().parse(capability.change) if word is not None]
    except ValueError as error:
        return f"`change` has a brace too many or too few ({error})"
    unknown = [word for word in words if word not in WORDS]
    return f"`change` has the unknown word `{{{unknown[0]}}}`" if unknown else ""
