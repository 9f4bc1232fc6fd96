"""How often the monitor raises a false alarm, and how often it misses a change: simulated.

Each check is the real one, over 20 features of every kind and the predictions, against a reference
of 10,000 rows. Seeds are fixed, so a figure here is the same each time.
"""

import json
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.product.conftest import run
from tests.product.serving import Served, released

__all__ = ["released"]  # a fixture
pytestmark = pytest.mark.slow
SIMULATION = ROOT / "benchmarks/drift_power.py"


@pytest.fixture(scope="module")
def detections(released: Served) -> dict[str, Any]:
    """A thousand checks of stable features for each size, and a hundred with one that moved."""
    python = released.folder / ".venv/bin/python"
    printed = run(python, SIMULATION, "1000", "7", cwd=released.folder).stdout
    print(printed)
    observed: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return observed


@pytest.mark.parametrize("rows", ["200", "250", "2000"])
def test_at_most_one_check_in_a_hundred_finds_what_is_not_there(
    detections: dict[str, Any], rows: str
) -> None:
    assert detections["false_alarms"][rows] <= 0.01


@pytest.mark.parametrize(
    "case", ["250 normal", "250 uniform", "250 skewed", "250 counts", "200 normal"]
)
def test_half_a_standard_deviation_is_found_in_19_of_20_checks(
    detections: dict[str, Any], case: str
) -> None:
    """From 250 rows on, where judging begins: with 200, counts are found in 9 of 10."""
    assert detections["power"][case] >= 0.95
