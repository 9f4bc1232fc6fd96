"""The gate lets pass what is shown to be as good, and nothing that cannot be shown.

The rows, the figure and the predictions are made up here, so that the truth about them is known
whatever src/ holds.
"""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from msgspec import structs

from rung_ops import contract
from rung_ops.errors import SettingsError
from rung_ops.gate import judge as judging
from rung_ops.gate import registry_gate
from rung_ops.gate import rules as gate_rules
from rung_ops.gate.judge import Champion, judge
from rung_ops.gate.rules import Bound, Rules, SliceRules
from rung_ops.gate.verdict import Verdict
from rung_ops.tracking import registry
from rung_ops.training import baseline, judged_rows
from rung_ops.training.baseline import Baseline

ROWS = 8_000
GROUPS = {"a": 4_000, "b": 2_000, "c": 1_980, "rare": 20}
RULES = Rules()


def slices_with(**rules: Any) -> Rules:
    return Rules(slices=SliceRules(**rules))


ROW = pl.DataFrame(
    {
        contract.TARGET: np.random.default_rng(1).integers(0, 2, ROWS),
        "group": [name for name, count in GROUPS.items() for _ in range(count)],
    }
)
TRUTH = ROW[contract.TARGET].to_numpy()
GROUP = ROW["group"].to_numpy()
CONSTANT = np.full(ROWS, float(TRUTH.mean() > 0.5))
Figure = Callable[[np.ndarray, np.ndarray], float]


def accuracy(truth: np.ndarray, predicted: np.ndarray) -> float:
    return float((truth == predicted).mean())


def error(truth: np.ndarray, predicted: np.ndarray) -> float:
    return float(np.abs(truth - predicted).mean())


@pytest.fixture(autouse=True)
def set_up(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Score by accuracy, and by group; the function chooses another figure."""

    def use(figure: Figure = accuracy, higher: bool = True, name: str = "figure") -> None:
        settings = {
            "seed": 1,
            "score": {"metric": "figure", "higher_is_better": higher},
            "report": {"slices": ["group"]},
        }
        for module in (judging, judged_rows):
            monkeypatch.setattr(module, "params", lambda: settings)
        monkeypatch.setattr(judged_rows, "features", lambda rows: rows)
        monkeypatch.setattr(contract, "TIME", None)
        monkeypatch.setattr(contract, "score", lambda *each: {name: figure(*each)})

    use()
    return use


def right(share: float, seed: int = 2) -> np.ndarray:
    hit = np.random.default_rng(seed).random(ROWS) < share
    return np.where(hit, TRUTH, 1 - TRUTH).astype(float)


CHAMPION = Champion({"version": "1"}, right(0.8), [])
EVERYWHERE = np.ones(ROWS, dtype=bool)


def turned(was_right: bool, rows: int, among: np.ndarray) -> np.ndarray:
    """Take the champion's predictions, and turn so many of the right, or wrong, ones round."""
    made = CHAMPION.predictions.copy()
    hit = np.flatnonzero(((made == TRUTH) == was_right) & among)[:rows]
    made[hit] = 1 - made[hit]
    return made


def worse(rows: int, among: np.ndarray = EVERYWHERE) -> np.ndarray:
    return turned(True, rows, among)


def better(rows: int) -> np.ndarray:
    return turned(False, rows, EVERYWHERE)


def judged(
    challenger: np.ndarray,
    champion: Champion | None = CHAMPION,
    rows: pl.DataFrame = ROW,
    simple: np.ndarray = CONSTANT,
    rules: Rules = RULES,
) -> Verdict:
    return judge(rows, challenger, champion, Baseline("constant", simple, {}), rules)


def reasons(*arguments: Any, **named: Any) -> str:
    verdict = judged(*arguments, **named)
    assert verdict.promote == (not verdict.reasons)
    return "\n".join(verdict.reasons)


def evaluated(value: str, rows: int) -> dict[str, Any]:
    """Return a line of the champion's slices.json."""
    return {"column": "group", "value": value, "rows": rows, "figure": 0.8}


@pytest.mark.parametrize(
    ("challenger", "champion", "expected"),
    [
        (CHAMPION.predictions, CHAMPION, ""),
        (right(0.6), None, ""),
        (right(0.5), None, "better than a constant"),
        (worse(80), CHAMPION, "worse than the champion: figure 0.7811 against 0.7911"),
        (CONSTANT, replace(CHAMPION, predictions=right(0.4)), "to be better than a constant"),
        (right(0.8, seed=5), CHAMPION, "not shown to be as good as the champion"),
    ],
    ids=["as good", "the first", "a poor first", "a point worse", "no feature", "unsure"],
)
def test_only_what_is_shown_to_be_as_good_passes(
    challenger: np.ndarray, champion: Champion | None, expected: str
) -> None:
    reason = reasons(challenger, champion)

    assert expected in reason and bool(expected) == bool(reason)
    assert ("test rows to pass" in reason) == (expected.startswith("not shown"))


@pytest.mark.parametrize("lost", [math.nan, math.inf])
@pytest.mark.parametrize("who", ["challenger", "champion", "baseline"])
def test_one_prediction_that_is_not_a_number_is_enough(who: str, lost: float) -> None:
    holed = better(100)
    holed[7] = lost
    made = {"challenger": better(100), "champion": CHAMPION.predictions, "baseline": CONSTANT}
    challenger, champion, simple = (made | {who: holed}).values()

    reason = reasons(challenger, replace(CHAMPION, predictions=champion), simple=simple)

    assert f"1 of 8,000 predictions of the {who} are not finite numbers" in reason


@pytest.mark.parametrize("shape", [ROWS - 1, (ROWS, 2), 0])
def test_predictions_of_other_rows_are_refused(shape: Any) -> None:
    assert "expected (8000,)" in reasons(np.ones(shape))


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (ROW.drop(contract.TARGET), "lack the target"),
        (
            ROW.with_columns(
                pl.when(pl.int_range(pl.len()) > 0).then(pl.col(contract.TARGET)).alias("target")
            ).select(pl.col("target").alias(contract.TARGET), "group"),
            "1 of 8,000 test rows have no",
        ),
        (
            ROW.with_columns(pl.lit(math.nan).alias(contract.TARGET)),
            "8,000 of 8,000 test rows have no",
        ),
        (ROW.drop("group"), "group"),
    ],
    ids=["no target", "a missing target", "targets that are not numbers", "no column to slice by"],
)
def test_missing_data_refuse(rows: pl.DataFrame, reason: str) -> None:
    assert reason in reasons(better(100), rows=rows)


def test_too_few_rows_refuse() -> None:
    few = replace(CHAMPION, predictions=CHAMPION.predictions[:199])

    reason = reasons(better(100)[:199], few, ROW[:199], CONSTANT[:199])

    assert "got 199 test rows; expected at least 200" in reason


@pytest.mark.parametrize(
    ("chosen", "reason"),
    [
        ({"figure": lambda *_: math.nan}, "on all 8,000 rows is nan"),
        ({"name": "another"}, "have no 'figure'"),
    ],
    ids=["no number", "another name"],
)
def test_a_score_that_gives_no_figure_refuses(
    set_up: Callable[..., None], chosen: dict[str, Any], reason: str
) -> None:
    set_up(**chosen)

    assert reason in reasons(better(100))


def test_a_slice_below_the_champions_refuses_even_if_others_gain() -> None:
    made = better(1_000)
    made[GROUP == "c"] = worse(160, GROUP == "c")[GROUP == "c"]

    verdict = judged(made)

    assert verdict.figures["champion"]["gain"] > 0.08
    (reason,) = verdict.reasons
    assert reason == (
        "group c: changes from 0.7889 to 0.7081 on 1,980 rows, which is at least 0.06637 worse; "
        "0.05 is allowed"
    )
    assert reasons(made, rules=slices_with(ignore=("group=c",))) == ""


def test_a_slice_that_may_be_lower_by_chance_is_a_note() -> None:
    made = better(1_000)
    made[GROUP == "c"] = worse(110, GROUP == "c")[GROUP == "c"]

    verdict = judged(made)

    assert verdict.promote
    (note,) = verdict.notes
    assert note.startswith("group c: changes from 0.7889 to 0.7333 on 1,980 rows")
    (judged_slice,) = (each for each in verdict.figures["slices"] if each["value"] == "c")
    assert judged_slice["gain_high"] > -0.05 > judged_slice["gain_low"]


def test_equally_good_versions_are_not_refused_for_one_of_many_slices() -> None:
    """46 slices of 174 rows, most of which are more than `max_drop` apart now and then."""
    rows = ROW.with_columns((pl.int_range(pl.len()) % 46).cast(pl.String).alias("group"))
    for seed in range(5):
        champion = replace(CHAMPION, predictions=right(0.8, seed=100 + seed))
        reason = reasons(right(0.8, seed=200 + seed), champion, rows)

        assert "group" not in reason


@pytest.mark.parametrize("there", [0, 20])
def test_a_slice_that_is_missing_refuses(there: int) -> None:
    known = [evaluated("gone", 200), *(evaluated(*each) for each in GROUPS.items())]
    champion = replace(CHAMPION, slices=known)
    named = GROUP.copy().astype(object)
    named[:there] = "gone"
    rows = ROW.with_columns(pl.Series("group", named, dtype=pl.String))

    reason = reasons(better(100), champion, rows)

    assert (
        f"group gone: has {there} rows, too few to judge; the champion was evaluated on 200: if it is "
        'gone for good, add "group=gone" to `ignore` in ops/gate.toml' in reason
    )
    assert reasons(better(100), champion, rows, rules=slices_with(ignore=("group=gone",))) == ""


def test_a_renamed_slice_is_a_note() -> None:
    """Its rows are there, and are judged by their new name."""
    known = [evaluated(name if name != "c" else "before", rows) for name, rows in GROUPS.items()]

    verdict = judged(better(100), replace(CHAMPION, slices=known))

    assert verdict.promote
    assert verdict.notes == [
        "group before: has 0 rows now, and `c`, which the champion was not evaluated on, 1,980: taken "
        "for renamed"
    ]


def test_a_slice_whose_values_are_gone_is_not_taken_for_renamed() -> None:
    known = [evaluated(*each) for each in GROUPS.items()]
    rows = ROW.with_columns(pl.col("group").replace("c", None))

    assert "group c: has 0 rows" in reasons(better(100), replace(CHAMPION, slices=known), rows)


def test_a_slice_may_shrink_with_the_test_rows() -> None:
    """A later test may have fewer rows: a slice that kept its share is not missing."""
    known = [evaluated(name, 20 * rows) for name, rows in GROUPS.items()]

    assert reasons(better(100), replace(CHAMPION, slices=known)) == ""


@pytest.mark.parametrize(
    ("times", "until"),
    [
        (pl.Datetime("ms"), "2026-01-01T00:03:19"),
        (pl.Datetime("us", "Europe/Berlin"), "2025-12-31T23:03:19+00:00"),
        (pl.Date, "2026-07-19"),
    ],
    ids=["moments", "moments of a zone", "days"],
)
def test_test_rows_that_the_champion_was_fitted_on_are_left_out(
    monkeypatch: pytest.MonkeyPatch, times: Any, until: str
) -> None:
    """A released model may have been fitted again on all rows after its own judgement."""
    monkeypatch.setattr(contract, "TIME", "at")
    step = timedelta(days=1) if times == pl.Date else timedelta(seconds=1)
    at = pl.Series("at", [datetime(2026, 1, 1) + number * step for number in range(ROWS)])
    zone = getattr(times, "time_zone", None)
    rows = ROW.with_columns(at.dt.replace_time_zone(zone) if zone else at.cast(times))
    fitted = CHAMPION.predictions.copy()
    fitted[:200] = TRUTH[:200]
    champion = replace(CHAMPION, predictions=fitted, trained_until=until)

    verdict = judged(CHAMPION.predictions, champion, rows)

    assert verdict.promote
    assert verdict.figures["champion"]["rows"] == ROWS - 200
    assert verdict.notes[0].startswith("the champion learned from 200 of 8,000 test rows")
    assert not judged(CHAMPION.predictions, replace(champion, trained_until=None), rows).promote


def test_without_times_all_rows_compare() -> None:
    champion = replace(CHAMPION, trained_until="2026-01-01")

    assert judged(better(100), champion).figures["champion"]["rows"] == ROWS


def test_a_column_none_of_whose_slices_can_be_judged_is_a_note() -> None:
    verdict = judged(better(100), rules=Rules(slices=SliceRules(min_rows=5_000)))

    assert verdict.promote
    (note,) = verdict.notes
    assert note.startswith("no slice of `group` can be judged: the largest has 4,000 rows")


@pytest.mark.parametrize(
    ("figure", "value", "bound", "reason"),
    [
        (accuracy, "a", 0.75, ""),
        (accuracy, "a", 0.99, "misses its bound of 0.99"),
        (accuracy, "rare", 0.1, "has a bound, but too few rows to judge (20)"),
        (accuracy, "gone", 0.1, "has a bound, but too few rows to judge (0)"),
        (error, "a", 0.3, ""),
        (error, "a", 0.1, "misses its bound of 0.1"),
    ],
)
def test_a_bound_of_a_slice_has_to_be_reached(
    set_up: Callable[..., None], figure: Figure, value: str, bound: float, reason: str
) -> None:
    set_up(figure, higher=figure is accuracy)

    message = reasons(better(100), rules=slices_with(bounds=(Bound("group", value, bound),)))

    assert reason in message
    assert bool(message) == bool(reason)


def test_a_verdict_is_printed_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gate_rules, "verdict_file", lambda: tmp_path / "reports/gate.json")

    probably = Rules(rule=gate_rules.PROBABLY_BETTER)
    verdicts = (judged(better(100), rules=probably), judged(worse(80)))
    codes = [registry_gate.publish(replace(each, challenger={"version": "2"})) for each in verdicts]

    out, err = capsys.readouterr()
    assert codes == [0, 1]
    assert "can replace version 1" in out
    assert "or better (95%)" in out
    assert "An equally good version needs about" in out
    assert "Chance to pass on these rows, by what a version truly is: 1 % better 100%" in out
    assert "Refused" in err and "- worse than the champion" in err
    written = json.loads((tmp_path / "reports/gate.json").read_text())
    assert written["promote"] is False
    assert written["champion"] == {"version": "1"}
    assert written["rows_needed"] == verdicts[1].rows_needed
    assert written["rows_needed"]["equal"] > 200
    assert {each["value"]: each["champion"] for each in written["figures"]["slices"]}[
        "rare"
    ] is None


@pytest.mark.parametrize("unit", [1.0, 1e5, 1e9])
def test_figures_of_any_size_stand_apart_in_the_table(unit: float) -> None:
    champion = {"challenger": 0.34, "figure": 0.36, "gain": 0.02, "gain_low": 0.01, "margin": 0.003}
    figures = {
        **{"metric": "mae", "higher_is_better": False, "alpha": 0.003, "rows": 1250},
        "challenger": 0.34 * unit,
        "champion": {name: figure * unit for name, figure in champion.items()}
        | {"rows": 1250, "probability_better": 0.99, "probability_needed": 0.95},
        "baseline": {"name": baseline.CONSTANT, "figure": 0.89 * unit, "gain": 0.55 * unit},
        "slices": [],
    }

    lines = list(registry_gate.table(Verdict(True, [], figures)))

    cells = [line.split() for line in lines if line.startswith(("all", "a constant"))]
    assert [len(row) for row in cells] == [1 + 4, 2 + 4]


def test_where_no_version_is_judged_that_is_said_and_the_verdict_of_before_stays(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "gate.json"
    monkeypatch.setattr(gate_rules, "verdict_file", lambda: path)
    unknown = Verdict(False, ["There is no version 9"], {})
    said = "Refused: no version was judged.\n- There is no version 9\n"

    assert registry_gate.publish(unknown) == 1
    assert capsys.readouterr().err == said
    assert not path.exists()
    registry_gate.publish(replace(judged(better(100)), challenger={"version": "2"}))
    before = path.read_bytes()
    assert before == (tmp_path / "gate/version-2.json").read_bytes()

    assert registry_gate.publish(unknown) == 1
    still = "gate.json still has the verdict on version 2.\n"
    assert (err := capsys.readouterr().err).startswith(said) and err.endswith(still)
    assert path.read_bytes() == before


def test_a_registry_that_does_not_answer_refuses_no_version(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing is written either: the verdict of before still holds."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr(gate_rules, "verdict_file", lambda: tmp_path / "gate.json")

    with pytest.raises(registry.ServerDownError, match="does not answer"):
        registry_gate.main([])

    assert not (tmp_path / "gate.json").exists()


def test_the_rules_of_this_project_can_be_read() -> None:
    """They are the defaults, which docs/gate.md states error rates of; the rule is the game's."""
    rules = gate_rules.read()

    assert structs.replace(rules, rule=Rules().rule) == Rules()


def test_rules_that_are_left_out_have_their_defaults(tmp_path: Path) -> None:
    (tmp_path / "gate.toml").write_text(
        "[[gate.slices.bounds]]\ncolumn = 'group'\nvalue = 'a'\nbound = 1\n"
    )

    rules = gate_rules.read(tmp_path / "gate.toml")

    assert rules == slices_with(bounds=(Bound("group", "a", 1.0),))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[gate", "is not valid TOML"),
        ("gate = 1", "`gate` is not a table"),
        ("[gate]\nalpah = 0.1", r"gate\.toml: \[gate\] .*`alpah`; did you mean `alpha`\?"),
        ("[gate]\nalpha = 0.7", r"\[gate\] alpha: expected `float` < 0\.5"),
        ("[gate]\nalpha = nan", "alpha"),
        ("[gate]\nmargin = 0", "margin"),
        ('[gate]\nrule = "better"', "rule"),
        ("[gate]\nprobability = 1", "probability"),
        ("[gate.slices]\nmax_drop = -1", "max_drop"),
    ],
)
def test_rules_that_make_no_sense_are_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "gate.toml").write_text(text)

    with pytest.raises(SettingsError, match=reason):
        gate_rules.read(tmp_path / "gate.toml")


def test_missing_rules_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is missing"):
        gate_rules.read(tmp_path / "gate.toml")
