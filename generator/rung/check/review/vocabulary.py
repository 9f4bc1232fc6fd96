"""The vocabulary of levels/README.md: what a predicate, and the words of a change, may be."""

from string import Formatter
from typing import Any

from rung.check.review.advice import WORDS
from rung.check.review.evidence import COMBINING
from rung.check.review.predicates import PREDICATES
from rung.levels.ladder import Capability


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
    described = PREDICATES[kind]
    keys = {**described.needed, **described.allowed}
    further = {name: entry for name, entry in predicate.items() if name != kind}
    return (
        described.value(value)
        and described.needed.keys() <= further.keys() <= keys.keys()
        and all(keys[name](entry) for name, entry in further.items())
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
