"""Read and check ops/autopilot.toml, the rules of the autopilot."""

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

from rung_ops.project.paths import policy_file, shown


def settings_file() -> Path:
    """Return the path of ops/autopilot.toml."""
    return policy_file("autopilot.toml")


class BadPolicy(Exception):
    """autopilot.toml is invalid; the message says where and what to do."""


@dataclass(frozen=True)
class Retrain:
    """Reasons to retrain; 0 or false switches one off."""

    drifted_features: int
    prediction_drift: bool
    quality_drop: float
    model_age_days: int
    new_rows: int


@dataclass(frozen=True)
class Limits:
    """Limits of training, whatever the reason to train."""

    least_new_rows: int
    days_between: int
    most: int
    per_days: int


@dataclass(frozen=True)
class Refused:
    """How long the autopilot waits after a version was refused or rolled back."""

    days: int
    new_rows: int


@dataclass(frozen=True)
class Trial:
    """How long a canary may stay undecided."""

    patience_days: int


@dataclass(frozen=True)
class Rollback:
    """When a promoted release is rolled back; `level` is the confidence level, in [0.5, 1)."""

    least_rows: int
    watch_days: int
    level: float
    error_rate: float


@dataclass(frozen=True)
class Service:
    """URL of the service, without a path; empty if its metrics are not read."""

    url: str


@dataclass(frozen=True)
class Policy:
    """All rules, by their table in ops/autopilot.toml."""

    service: Service
    retrain: Retrain
    limits: Limits
    refused: Refused
    trial: Trial
    rollback: Rollback


def read(path: Path | None = None) -> Policy:
    """Read the rules.

    Raises:
        BadPolicy: the file is missing or not TOML, or a rule is missing, unknown or out of range.
    """
    path = settings_file() if path is None else path
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadPolicy(
            f"{shown(path)} is missing, so the autopilot has no rules. Restore it with "
            f"`git checkout -- {shown(path)}`."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadPolicy(f"{shown(path)} is not valid TOML: {error}. Fix that line.") from error
    tables = get_type_hints(Policy)
    _refuse_unknown(shown(path), set(document) - set(tables), set(tables))
    rules = {name: _table(shown(path), name, document.get(name), tables[name]) for name in tables}
    policy = Policy(**rules)
    if not 0.5 <= policy.rollback.level < 1:
        raise BadPolicy(
            f"{shown(path)}: [rollback] level: got {policy.rollback.level}; "
            "expected at least 0.5 and less than 1, such as 0.99."
        )
    if policy.retrain.quality_drop >= 1:
        raise BadPolicy(
            f"{shown(path)}: [retrain] quality_drop: got {policy.retrain.quality_drop:g}; expected "
            "less than 1: of an error it is a share, such as 0.02 for 2 %."
        )
    return policy


def _table(file: str, table: str, written: Any, kind: type[Any]) -> Any:
    if not isinstance(written, dict):
        raise BadPolicy(f"{file}: the table [{table}] is missing. Add it.")
    kinds = get_type_hints(kind)
    _refuse_unknown(f"{file}, [{table}]", set(written) - set(kinds), set(kinds))
    return kind(
        **{
            field.name: _rule(f"{file}: [{table}] {field.name}", written, field.name, kinds)
            for field in fields(kind)
        }
    )


def _rule(where: str, written: dict[str, Any], name: str, kinds: dict[str, type]) -> Any:
    if name not in written:
        raise BadPolicy(f"{where} is missing. Add it; 0 or false switches a rule off.")
    value, kind = written[name], kinds[name]
    if kind is str and isinstance(value, str):
        return value
    if kind is bool or isinstance(value, bool):
        if kind is bool and isinstance(value, bool):
            return value
    elif kind is not str and isinstance(value, int if kind is int else int | float) and value >= 0:
        return kind(value)
    wanted = {bool: "true or false", int: "a whole number, 0 or more", str: "a text"}
    raise BadPolicy(f"{where}: got {value!r}; expected {wanted.get(kind, '0 or more')}.")


def _refuse_unknown(where: str, unknown: set[str], known: set[str]) -> None:
    if unknown:
        raise BadPolicy(
            f"{where}: unknown rule `{min(unknown)}`; expected "
            f"{', '.join(f'`{name}`' for name in sorted(known))}."
        )
