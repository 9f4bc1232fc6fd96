"""The change control plan and the monitoring plan, as the library reads them."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from rung_governance.approval.bound_facts import NO_TOUCH, REFUSE, REPORT, STOP, TOUCH, file_hash
from rung_governance.record_check import MOST_DAYS, check_record, read_schema
from rung_ops.errors import SettingsError, StageError, UnreadableFileError
from rung_ops.project import current, documents

CHANGES = "change_control_plan"
MONITORING = "monitoring_plan"
NO_WITNESS = "none"  # in the place of the remote that keeps notes of the audit log
VALID_DAYS = 365  # how long an approval holds where the plan does not say
FILE = f"governance/{CHANGES}.yaml"


@dataclass(frozen=True)
class Bounds:
    """What the change control plan allows."""

    # bounds by name, as in `model.C`: least and most, or one_of
    parameters: dict[str, dict[str, Any]]
    unrestricted: tuple[str, ...]  # patterns of parameters that may change freely
    approved: frozenset[str]  # features that were approved
    may_be_left_out: frozenset[str]  # those of them that may be missing
    may_be_added: frozenset[str]  # further features that may be there
    never_read: frozenset[str]  # columns that no feature may read
    # bounds of figures: figure, least, most, greatest_fall, greatest_rise
    performance: tuple[dict[str, Any], ...]
    # bounds of differences: group, figure, greatest_difference; `class` where one is meant,
    # `may_be_unmeasured` where some may have too few rows
    fairness: tuple[dict[str, Any], ...]
    # probability from which on the positive class counts as predicted; None where the plan
    # names none
    decision_threshold: float | None = None


@dataclass(frozen=True)
class ApprovalTerms:
    """What the plan asks of an approval; a project without a plan has the defaults."""

    valid_for: timedelta = timedelta(days=VALID_DAYS)  # how long it holds
    signed_commits: bool = False  # whether each commit that made the version has to be signed
    # whether an unapproved model scores no files; else it marks what it scores
    refuses_batch: bool = False
    lapsed: str = STOP  # what the service does when it expires or is withdrawn: stop or report
    # what the service does where its hooks are not the approved ones: refuse or report
    hooks: str = REFUSE
    needs_touch: bool = True  # whether a security key counts only where it was touched
    # the git remote that keeps notes of the audit log; none for no such notes
    witness: str = "origin"


def path(root: Path | None = None) -> Path:
    """Name the file of the change control plan, which comes with rung 3."""
    return (root or current().root) / FILE


def approval_terms(root: Path | None = None) -> ApprovalTerms:
    """Read what the plan asks of an approval, whatever state the rest of it is in."""
    terms = _written(root).get("approval", {})
    days, most = terms.get("valid_days", VALID_DAYS), MOST_DAYS["valid_days"]
    if not isinstance(days, int) or not 0 < days <= most:
        raise SettingsError(f"{FILE}, approval.valid_days: expected 1 to {most:,} days; got {days}")
    return ApprovalTerms(
        timedelta(days=days),
        terms.get("signed_commits") is True,
        terms.get("batch") == "refuse",
        REPORT if terms.get("lapsed") == REPORT else STOP,
        REPORT if terms.get("hooks") == REPORT else REFUSE,
        terms.get(TOUCH) != NO_TOUCH,
        str(terms.get("witness", "origin")),
    )


def bounds(root: Path | None = None) -> Bounds:
    """Read the bounds of governance/change_control_plan.yaml."""
    plan = _read(CHANGES, root)
    protocol = plan["protocol"]
    parameters: dict[str, dict[str, Any]] = {}
    for modification in plan["modifications"]:
        for name, bound in modification.get("parameters", {}).items():
            if name in parameters:
                raise SettingsError(f"{FILE} bounds {name} twice: keep one of them")
            parameters[name] = bound
    judged = {entry["modification"] for entry in plan["impact"]}
    for modification in plan["modifications"]:
        if modification["id"] not in judged:
            raise SettingsError(f"{FILE}: `impact` says nothing of {modification['id']}")
    return Bounds(
        parameters=parameters,
        unrestricted=tuple(protocol["unrestricted_parameters"]),
        approved=frozenset(protocol["features"]["approved"]),
        may_be_left_out=_names(plan, "features_left_out"),
        may_be_added=_names(plan, "features_added"),
        never_read=frozenset(protocol["features"]["never_read"]),
        performance=tuple(protocol["performance"]),
        fairness=tuple(protocol["fairness"]),
        decision_threshold=protocol.get("decision_threshold"),
    )


def digest(root: Path | None = None) -> str:
    """Tell which change control plan it is: the SHA-256 of the file, in hexadecimal."""
    return file_hash(path(root))


def thresholds(root: Path | None = None) -> dict[str, dict[str, float]]:
    """Read the thresholds of governance/monitoring_plan.yaml.

    Returns:
        By table and name of ops/monitor.toml, in whose place they count: {"drift": {"false_alarms":
        0.01}}. The table `overrides` is not in ops/monitor.toml: rung_governance.monitor
        reads it. A plan whose review is due counts.

    Raises:
        SettingsError: it is missing or incomplete, or sets a threshold twice.
    """
    by_table: dict[str, dict[str, float]] = {}
    for metric in _read(MONITORING, root)["metrics"]:
        if "setting" not in metric:
            continue
        table, name = metric["setting"].split(".")
        if name in by_table.setdefault(table, {}):
            raise SettingsError(f"governance/{MONITORING}.yaml sets {table}.{name} twice: keep one")
        by_table[table][name] = metric["threshold"]
    return by_table


def owners(root: Path | None = None) -> dict[str, dict[str, str]]:
    """Tell who answers for a setting of the monitoring plan, and what is done: owner, action."""
    return {
        metric["setting"]: {"owner": metric["owner"], "action": metric["action"]}
        for metric in _read(MONITORING, root)["metrics"]
        if "setting" in metric
    }


def _names(plan: dict[str, Any], key: str) -> frozenset[str]:
    return frozenset(name for each in plan["modifications"] for name in each.get(key, []))


def _read(name: str, root: Path | None) -> dict[str, Any]:
    root = root or current().root
    file = root / f"governance/{name}.yaml"
    if not file.is_file():
        raise SettingsError(f"governance/{name}.yaml is missing: nothing is allowed without it")
    # An outdated plan is better than no monitoring; readiness.warnings() reports it.
    review = name != MONITORING
    if faults := list(check_record(file, read_schema(name, root), root, review)):
        raise SettingsError(" ".join(map(str, faults)))
    return documents.record(file)


def _written(root: Path | None) -> dict[str, Any]:
    """Read the change control plan unchecked; empty where it is missing."""
    try:
        return documents.record(path(root)) if path(root).is_file() else {}
    except UnreadableFileError as error:
        raise SettingsError(f"{FILE} {error}.") from error


def refuse_own_format(root: Path) -> None:
    """Refuse a model that model.py reads and writes itself, unless the plan allows it."""
    entry = _written(root).get("custom_model_format")
    if not isinstance(entry, dict) or entry.get("allowed") is not True or not entry.get("reason"):
        raise StageError(
            f"save() and load() in model.py read and write the model, and a file of its own format "
            f"can run code when it is loaded. {FILE} does not allow that: have "
            "`custom_model_format: {allowed: true, reason: ...}` approved, or remove save() and "
            "load()."
        )
