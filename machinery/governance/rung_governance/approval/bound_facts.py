"""What a signed approval binds of a version, and until when it holds; brings no other packages."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from rung_ops.errors import OpsError
from rung_ops.project import hooks
from rung_ops.system.printable import four_digits

# What an approval binds, as its objections name it.
BOUND = {
    "model_hash": "the model's bytes",
    "git_commit": "the commit",
    "source_hash": "the source in src/",
    "data_hash": "the data",
    "params_hash": "params.toml",
    "record": "the validation record",
    "plan": "the change control plan",
    "gate_rules": "the rules in ops/gate.toml",
    "judging": "what params.toml judges a version by ([score], [fairness], the slices of [report])",
    "hooks": "the hooks of the service in pyproject.toml",
}
# Those that approvals of an earlier library do not name: nothing is compared with them.
LATER = ("judging", "hooks")
# Those of them that travel with a release.
MADE_OF = ("model_hash", "git_commit", "source_hash", "data_hash", "params_hash")
# What a line of the audit log names of a release: what its model was exported to, and the rest.
RELEASE = "release_hash"
CLOSE = 1e-3  # share by which a figure may differ on another machine
# What the plan lets the service do when an approval expires or is withdrawn: `lapsed`.
STOP, REPORT = "stop", "report"
# What it does where its hooks are not the approved ones, or their source is not: `hooks`; or REPORT.
REFUSE = "refuse"
# Of an approval: the hooks of the service by name, and which of the two holds.
HOOKS, OTHER_HOOKS = "hooks", "other_hooks"
# What the plan asks of a security key that signs: `touch`; the approval repeats it for the service.
TOUCH, NO_TOUCH = "touch", "not required"


# Those of rung_ops.project.hooks that the service calls.
OF_SERVICE = ("asgi_middleware", "routes", "before_prediction", "after_prediction")


def hooks_of_service() -> dict[str, str]:
    """Return the hooks of this project that the service calls, by name: `MODULE:FUNCTION`."""
    named = hooks.named()
    return {name: str(named[name]) for name in OF_SERVICE if name in named}


class NotApprovedError(OpsError):
    """A version or a release is not approved, or cannot be."""


def file_hash(path: Path) -> str:
    """Hash a file with SHA-256, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def release_hash(manifest: Mapping[str, Any]) -> str:
    """Hash a release by its verified manifest, which lists the hash of every file."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def changed(
    signed: Mapping[str, Any], now: Mapping[str, Any], verdict: Mapping[str, Any] | None
) -> Iterator[str]:
    """Say what has changed since a statement was signed; what `now` leaves out is not compared."""
    for name, what in BOUND.items():
        if name in LATER and name not in signed:
            continue
        if name in now and signed.get(name) != now[name]:
            was, is_ = (_short(each) for each in (signed.get(name), now[name]))
            yield f"{what} changed since it was approved ({was}, now {is_}), so the approval is void"
    if verdict is not None and not same_verdict(signed.get("verdict") or {}, verdict):
        outlines = (_outline(each) for each in (signed.get("verdict") or {}, verdict))
        yield (
            "the gate's verdict changed since it was approved "
            f"({', now '.join(outlines)}), so the approval is void"
        )


def same_verdict(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two verdicts say the same; figures may differ by CLOSE."""
    return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)


def overdue(signed: Mapping[str, Any]) -> Iterator[str]:
    """Say that an approval has expired, or is of a day to come."""
    today, expires = datetime.now(UTC).date().isoformat(), str(signed.get("expires", ""))
    try:
        has_expired = today > date.fromisoformat(expires).isoformat()
    except ValueError:  # `never`
        has_expired = True
    if has_expired:
        version = signed.get("version", "VERSION")
        yield (
            f"the approval expired on {expires}: `uv run poe approve {version}` after a "
            f"look at it, then `uv run poe promote {version}`, renew it"
        )
    if today < str(signed.get("approved", ""))[:10]:
        yield f"the approval is of {signed.get('approved')}, which is to come"


def _short(fact: Any) -> str:
    """Write a hash by its first digits, and hooks by their names."""
    if isinstance(fact, Mapping):
        return ", ".join(f"{name}: {target}" for name, target in fact.items()) or "none"
    return str(fact or "none")[:12]


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=CLOSE)
    return bool(one == other)


def _outline(verdict: Mapping[str, Any]) -> str:
    against = verdict.get("champion_version")
    figure = verdict.get("challenger")
    shown_figure = four_digits(figure) if isinstance(figure, float) else figure
    figures = f"{verdict.get('metric')} {shown_figure} against {against or 'no champion'}"
    return "; ".join([figures, *verdict.get("reasons", [])])
