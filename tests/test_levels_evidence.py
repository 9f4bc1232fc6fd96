"""The evidence of each capability: its words, and the small trees that must and must not earn it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rung.check.review.review import review
from rung.levels.ladder import TIERS, Capability
from tests.conftest import ROOT
from tests.repositories import LADDER, plant

CAPABILITIES = [each for rung in LADDER for each in rung.capabilities.values()]
every_capability = pytest.mark.parametrize("capability", CAPABILITIES, ids=lambda each: each.id)


def texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(text, str) for text in value)


def regex(value: Any) -> bool:
    return isinstance(value, str) and bool(re.compile(value, re.IGNORECASE | re.MULTILINE))


def regexes(value: Any) -> bool:
    return texts(value) and all(map(regex, value))


def text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def number(value: Any) -> bool:
    return isinstance(value, int) and value > 0


# For each predicate: what its value is, the keys it needs beside it and those it may have.
Check = Callable[[Any], bool]
TOGETHER = {"all", "any", "none", "same_file", "leads_to"}
PREDICATES: dict[str, tuple[Check, dict[str, Check], dict[str, Check]]] = {
    "exists": (texts, {}, {}),
    "larger_than_mb": (number, {"in": texts}, {}),
    "depends": (texts, {}, {}),
    "imports": (texts, {}, {"in": texts}),
    "calls": (texts, {}, {"in": texts}),
    "text": (regex, {"in": texts}, {}),
    "function": (lambda value: value == "" or regex(value), {"body": regexes, "in": texts}, {}),
    "headings": (regexes, {"in": texts}, {}),
    "key": (text, {"in": texts}, {"matches": regex, "at_least": number}),
    "keys": (texts, {"in": texts}, {"at_least": number}),
    "runs": (regex, {}, {}),
    "ci_runs": (regex, {}, {"ci_says": regex}),
    "ci_says": (regex, {}, {"ci_runs": regex}),
}


def follows(predicate: Any) -> bool:
    """Say whether a predicate is one that levels/README.md describes."""
    if predicate == "reached":
        return True
    if not isinstance(predicate, dict) or not predicate:
        return False
    kind, value = next(iter(predicate.items()))
    if kind in TOGETHER:
        nested = isinstance(value, list) and bool(value) and all(map(follows, value))
        return len(predicate) == 1 and nested
    if kind in {"reached", "scheduled"}:
        return len(predicate) == 1 and value != "reached" and follows(value)
    if kind not in PREDICATES:
        return False
    check, needed, allowed = PREDICATES[kind]
    beside = {name: entry for name, entry in predicate.items() if name != kind}
    return (
        check(value)
        and set(needed) <= set(beside) <= set(needed | allowed)
        and all((needed | allowed)[name](entry) for name, entry in beside.items())
    )


@every_capability
def test_its_trees_earn_a_capability_and_do_not(capability: Capability, tmp_path: Path) -> None:
    earning, other = (
        review(plant(tmp_path / name, files)).findings[capability.id].points
        for name, files in (("a", capability.earned_by), ("b", capability.not_earned_by))
    )

    assert earning >= TIERS["used"], f"{capability.id}: `earned_by` does not earn it"
    assert other < TIERS["used"], f"{capability.id}: `not_earned_by` earns it"
    assert capability.earned_by and capability.not_earned_by


@every_capability
def test_evidence_keeps_to_the_vocabulary(capability: Capability) -> None:
    tiers = list(capability.evidence)

    assert "used" in tiers
    assert tiers == [tier for tier in ("declared", "used", "automated") if tier in tiers]
    for tier, predicate in capability.evidence.items():
        assert follows(predicate), f"{tier}: {predicate}"
    assert capability.applies is None or follows(capability.applies)


@pytest.mark.parametrize(
    "predicate",
    [
        {},
        {"exists": "README.md"},
        {"any": []},
        {"text": "a word in no file"},
        {"guess": ["README.md"]},
        {"exists": ["README.md"], "calls": ["fit"]},
        {"reached": "reached"},
        {"key": "stages", "in": ["dvc.yaml"], "at_least": "many"},
    ],
    ids=str,
)
def test_what_is_not_in_the_vocabulary_is_noticed(predicate: dict[str, Any]) -> None:
    assert not follows(predicate)


def test_every_predicate_in_use_is_described() -> None:
    page = (ROOT / "levels" / "README.md").read_text()

    for kind in [*PREDICATES, *TOGETHER, "reached", "scheduled"]:
        assert f"{{{kind}: " in page, kind
