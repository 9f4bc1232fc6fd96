"""What an organisation allows in rung.toml: for how long, and for which capabilities never."""

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import msgspec

from rung.check.review import vocabulary
from rung.check.review.findings import Statement
from rung.levels.ladder import POLICY, Level, converted, read, with_capabilities, wrong

ALL = "*"  # in `never`: every capability


class Terms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Terms of waivers, or of attestations; the longest is counted from the day of the check.

    Rung.toml has no first day, and one that it named could be moved.
    """

    longest_days: Annotated[int, msgspec.Meta(ge=1, le=36_500)] | None = None
    never: tuple[str, ...] = ()

    def refusal(self, name: str, statement: Statement, today: date) -> str:
        """Return why a statement does not count, and what to do; empty if it counts."""
        if name in self.never or ALL in self.never:
            return f"your organisation's policy allows none. Remove it, and bring `{name}`"
        if self.longest_days is None:
            return ""
        latest = today + timedelta(self.longest_days)
        if statement.until <= latest:
            return ""
        return (
            f"your organisation's policy allows {self.longest_days} days. Let it end by {latest}, "
            "and renew it then"
        )


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The terms by the tables of rung.toml. Without a policy every statement counts."""

    waivers: Terms = Terms()
    attestations: Terms = Terms()


def load_house(levels: Sequence[Level], folder: Path) -> tuple[tuple[Level, ...], Policy]:
    """Return the ladder with a house's capabilities, and its policy.

    Raises:
        RungError: A file is not as levels/README.md says, or names an unknown capability.
    """
    levels = with_capabilities(levels, folder, vocabulary.problem)
    path = folder / POLICY
    if POLICY not in (entry.name for entry in folder.iterdir()):
        return levels, Policy()
    policy = converted(read(path, unique=True), Policy, path)
    known = {name for level in levels for name in level.capabilities} | {ALL}
    for name in (*policy.waivers.never, *policy.attestations.never):
        if name not in known:
            raise wrong(path, f"`never` names `{name}`, and there is no such capability")
    return levels, policy
