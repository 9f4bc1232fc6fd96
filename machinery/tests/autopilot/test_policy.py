"""Rules that mean nothing are refused by name."""

from pathlib import Path

import pytest

from rung_ops.autopilot import policy
from rung_ops.autopilot.policy import BadPolicy


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A copy of the project's rules."""
    path = tmp_path / "autopilot.toml"
    path.write_text(policy.settings_file().read_text())
    return path


def changed(path: Path, before: str, after: str) -> Path:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))
    return path


def test_the_rules_of_the_project_are_read(rules: Path) -> None:
    assert policy.read(rules) == policy.read()


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("[limits]", "[limit]", "unknown rule `limit`"),
        ("\ndays_between", "\ndays_betwen", "unknown rule `days_betwen`"),
        ("\nlevel = ", "\nlevel = 9", r"\[rollback\] level: got 9.*less than 1"),
        ("\nquality_drop = ", "\nquality_drop = 1 #", r"quality_drop: got 1; expected less than 1"),
        ("\nnew_rows = ", "\nnew_rows = -5 #", r"\[retrain\] new_rows: got -.*0 or more"),
        ("\nprediction_drift = ", "\nprediction_drift = 1 #", "true or false"),
        ("\nmost = ", "\nmost = true #", "a whole number"),
        ("\nmost = ", "\nmost = 2.5 #", "a whole number"),
        ("\nurl = ", "\nurl = 1 #", "a text"),
        ("[retrain]", "[retrain", "is not valid TOML"),
    ],
)
def test_a_rule_that_means_nothing_is_named(
    rules: Path, before: str, after: str, says: str
) -> None:
    with pytest.raises(BadPolicy, match=says):
        policy.read(changed(rules, before, after))


def test_a_rule_that_is_left_out_is_missed(rules: Path) -> None:
    lines = [line for line in rules.read_text().splitlines() if not line.startswith("watch_days")]
    rules.write_text("\n".join(lines))

    with pytest.raises(BadPolicy, match=r"\[rollback\] watch_days is missing"):
        policy.read(rules)


def test_without_rules_nothing_is_done(tmp_path: Path) -> None:
    with pytest.raises(BadPolicy, match="is missing, so the autopilot has no rules"):
        policy.read(tmp_path / "autopilot.toml")
