"""The table of figures that `poe gate` prints."""

import pytest

from rung_ops.gate import registry_gate
from rung_ops.gate.verdict import Verdict
from rung_ops.training import baseline


@pytest.mark.parametrize("unit", [1.0, 1e5, 1e9])
def test_figures_of_any_size_stand_apart(unit: float) -> None:
    figures = {
        "metric": "mae",
        "higher_is_better": False,
        "alpha": 0.003,
        "rows": 1250,
        "challenger": 0.34 * unit,
        "champion": {
            "rows": 1250,
            "challenger": 0.34 * unit,
            "figure": 0.36 * unit,
            "gain": 0.02 * unit,
            "gain_low": 0.01 * unit,
            "margin": 0.003 * unit,
            "probability_better": 0.99,
            "probability_needed": 0.95,
        },
        "baseline": {"name": baseline.CONSTANT, "figure": 0.89 * unit, "gain": 0.55 * unit},
        "slices": [],
    }

    lines = list(registry_gate.table(Verdict(True, [], figures)))

    cells = [line.split() for line in lines if line.startswith(("all", "a constant"))]
    assert [len(row) for row in cells] == [1 + 4, 2 + 4]
    assert any(line.split() == ["or", "better", "(95%)", "99.0%"] for line in lines)
