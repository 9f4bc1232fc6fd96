"""What an organisation brings: its own capabilities, and what it allows in rung.toml, for how long."""

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from string import Formatter
from typing import Annotated, Any

import msgspec

from rung.check.review.advice import WORDS
from rung.check.review.evidence import COMBINING
from rung.check.review.findings import Statement
from rung.check.review.predicates import PREDICATES
from rung.levels.ladder import POLICY, Capability, Level, converted, read, with_capabilities, wrong

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
    levels = with_capabilities(levels, folder, problem)
    path = folder / POLICY
    if POLICY not in (entry.name for entry in folder.iterdir()):
        return levels, Policy()
    policy = converted(read(path, unique=True), Policy, path)
    known = {name for level in levels for name in level.capabilities} | {ALL}
    for name in (*policy.waivers.never, *policy.attestations.never):
        if name not in known:
            raise wrong(path, f"`never` names `{name}`, and there is no such capability")
    return levels, policy


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
