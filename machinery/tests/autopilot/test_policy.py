"""Rules that mean nothing are refused by name."""

from pathlib import Path

import pytest

from rung_ops.autopilot import decide
from rung_ops.errors import SettingsError
from rung_ops.release.rollout import read_policy


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A copy of the project's rules."""
    path = tmp_path / "autopilot.toml"
    path.write_text(decide.settings_file().read_text())
    return path


def changed(path: Path, before: str, after: str) -> Path:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))
    return path


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("[limits]", "[limit]", "unknown field `limit`; did you mean `limits`"),
        ("\nquality_drop = ", "\nquality_drop = 1 #", r"\[retrain\] quality_drop: .*< 1"),
        ("\nmost = ", "\nmost = true #", r"\[limits\] most: .*int"),
    ],
)
def test_a_rule_that_means_nothing_is_named(
    rules: Path, before: str, after: str, says: str
) -> None:
    with pytest.raises(SettingsError, match=says):
        decide.read_rules(changed(rules, before, after))


def test_without_rules_nothing_is_done(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is missing, so the autopilot has no rules"):
        decide.read_rules(tmp_path / "autopilot.toml")


def test_a_canary_is_not_ended_before_its_stages_are_over(rules: Path) -> None:
    if read_policy() is None:
        pytest.skip("a person promotes here")
    shorter = changed(rules, "patience_days = 15", "patience_days = 10")

    with pytest.raises(SettingsError, match=r"patience_days is 10, .* may take 12 days"):
        decide.read_rules(shorter)
    assert decide.read_rules(changed(shorter, "patience_days = 10", "patience_days = 0"))
