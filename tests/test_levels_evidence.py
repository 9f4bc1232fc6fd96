"""The evidence of each capability: its words, and the small trees that must and must not earn it."""

from pathlib import Path
from typing import Any

import pytest

from rung.check.review.evidence import COMBINING
from rung.check.review.policy import follows, problem
from rung.check.review.predicates import PREDICATES
from rung.check.review.review import review
from rung.levels.ladder import TIERS, Capability
from tests.conftest import ROOT
from tests.repositories import LADDER, plant

CAPABILITIES = [each for rung in LADDER for each in rung.capabilities.values()]
every_capability = pytest.mark.parametrize("capability", CAPABILITIES, ids=lambda each: each.id)


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
    assert problem(capability) == ""


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

    for kind in [*PREDICATES, *COMBINING, "reached", "scheduled"]:
        assert f"{{{kind}: " in page, kind
