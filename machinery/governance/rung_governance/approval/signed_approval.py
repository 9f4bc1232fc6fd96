"""The signed approval of a version: what it binds, until when it holds, and how it is withdrawn.

`<model>-<version>.approval.json` is beside the validation record, with its signature in a file of
that name and `.sig`, as `ssh-keygen -Y sign` names it. A withdrawal is there in the same way.
"""

import contextlib
import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rung_governance.approval import bound_facts, plan, signatures
from rung_governance.approval.bound_facts import NotApprovedError
from rung_ops.gate import rules
from rung_ops.project import current
from rung_ops.project.paths import shown
from rung_ops.system import git

UNMEASURED = "not_measured"  # of a verdict's figures: which bounds the plan let go unmeasured


def statement(
    version: Mapping[str, str], record: Path, verdict: Mapping[str, Any], root: Path | None = None
) -> dict[str, Any]:
    """Write what a validator signs."""
    now, terms = datetime.now(UTC), plan.approval_terms(root)
    return dict(version) | {
        **decided_by(record, root),
        "verdict": dict(verdict),
        "approved": now.isoformat(timespec="seconds"),
        "expires": _expiry(now, terms),
        "lapsed": terms.lapsed,
        bound_facts.OTHER_HOOKS: terms.hooks,
        **({} if terms.needs_touch else {bound_facts.TOUCH: bound_facts.NO_TOUCH}),
    }


def other_terms(signed: Mapping[str, Any], root: Path) -> Iterator[str]:
    """Say where an approval lets more than the plan does, as one that was written by hand may."""
    terms, wanted = plan.approval_terms(root), dict(signed)
    with contextlib.suppress(ValueError):  # a day that is none does not count anyway
        began = datetime.fromisoformat(str(signed.get("approved")))
        wanted["expires"] = min(str(signed.get("expires")), _expiry(began, terms))
    wanted |= {"lapsed": terms.lapsed} if "lapsed" in signed else {}
    wanted |= {bound_facts.OTHER_HOOKS: terms.hooks} if bound_facts.HOOKS in signed else {}
    for name, value in wanted.items():
        if signed.get(name) != value:
            yield f"the approval says {name}: {signed.get(name)}, and the plan {value}"


def _expiry(began: datetime, terms: plan.ApprovalTerms) -> str:
    return (began + terms.valid_for).date().isoformat()


def decided_by(record: Path, root: Path | None = None) -> dict[str, Any]:
    """Hash the record, the plan (where there is one) and the rules of the gate; name the hooks."""
    root = root or current().root
    files = {"record": record, "plan": plan.path(root), "gate_rules": rules.rules_file()}
    hashes = {name: bound_facts.file_hash(path) for name, path in files.items() if path.is_file()}
    if (parameters := root / "params.toml").is_file():
        judging = judging_settings(tomllib.loads(parameters.read_text(encoding="utf-8")))
        text = json.dumps(judging, sort_keys=True, default=str)
        hashes["judging"] = hashlib.sha256(text.encode()).hexdigest()
    return hashes | {bound_facts.HOOKS: bound_facts.hooks_of_service()}


def judging_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Take what judges a version out of the content of params.toml."""
    slices = settings.get("report", {}).get("slices", [])
    tables = {name: settings.get(name, {}) for name in ("score", "fairness")}
    return {**tables, "report": {"slices": slices}}


def verdict_facts(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """Take the part of a gate's verdict that an approval binds: versions, figures, reasons."""
    figures, champion = verdict["figures"], verdict["champion"] or {}
    unmeasured = {UNMEASURED: figures[UNMEASURED]} if UNMEASURED in figures else {}
    return unmeasured | {
        "version": str((verdict["challenger"] or {}).get("version", "")),
        "champion_version": champion.get("version"),
        "metric": figures.get("metric"),
        "challenger": figures.get("challenger"),
        "champion": (figures.get("champion") or {}).get("figure"),
        "reasons": list(verdict["reasons"]),
    }


def write(path: Path, content: Mapping[str, Any], key: str) -> None:
    """Sign content and write both files."""
    text = (json.dumps(content, indent=2) + "\n").encode()
    proof = signatures.sign(text, key)
    path.write_bytes(text)
    proof_of(path).write_text(proof, encoding="utf-8")


def read(path: Path, root: Path | None = None) -> tuple[dict[str, Any], str]:
    """Read a signed file; return its content and who signed it, or raise NotApprovedError."""
    try:
        text, proof = path.read_bytes(), proof_of(path).read_text(encoding="utf-8")
        content = dict(json.loads(text))
    except (OSError, ValueError) as error:
        raise NotApprovedError(f"{shown(path)} cannot be read: {error}") from error
    try:
        return content, signatures.signer(text, proof, root)
    except NotApprovedError as error:
        raise NotApprovedError(f"{shown(path)}: {error}") from error


def withdrawn(approval: Path) -> Iterator[str]:
    """Say that an approval was withdrawn; a withdrawal that git remembers counts without its file.

    Whether its signature counts does not matter: doubt is enough.

    Args:
        approval: its file; where it is gone, every withdrawal of the version counts.
    """
    files = sorted(approval.parent.glob(withdrawal_of(approval, "*").name))
    if approval.is_file():
        withdrawal = withdrawal_of(approval, bound_facts.file_hash(approval))
        if not withdrawal.is_file() and in_history(withdrawal):
            yield f"the approval was withdrawn, and {withdrawal.name} was deleted since"
        files = [each for each in files if each == withdrawal]
    for file in files:
        try:
            facts = json.loads(file.read_bytes())
            by = f"by {facts['by']} on {facts['withdrawn']}: {facts['reason']}"
        except (OSError, ValueError, KeyError, TypeError):
            by = f"in {file.name}"
        yield f"the approval was withdrawn {by}"


def withdrawal_of(approval: Path, digest: str) -> Path:
    """Name the withdrawal of just this approval: one that is signed later is another."""
    stem = approval.name.removesuffix(".approval.json")
    return approval.with_name(f"{stem}.withdrawal-{digest[:12]}.json")


def proof_of(path: Path) -> Path:
    """Name the file with a file's signature."""
    return path.with_name(f"{path.name}.sig")


# A job of CI takes the records of today out of FETCH_HEAD, beside the commit that it runs for.
COMMITS = ("HEAD", "FETCH_HEAD", "@{upstream}")


def is_as_committed(path: Path) -> bool:
    """Return whether a file is as a commit has it; one that is gone, whether HEAD lacks it too."""
    committed = [_git(path, "rev-parse", f"{each}:./{path.name}") for each in COMMITS]
    if not path.is_file():
        return not committed[0]
    # Filters of this clone may make of it what was committed.
    now = _git(path, "hash-object", "--no-filters", "--", path.name)
    return bool(now) and now in committed


def _git(path: Path, *arguments: str) -> str:
    how = (*git.NO_GRAPH, *arguments)
    done = git.run(path.parent, *how, variables=git.PLAIN)
    return done.stdout.strip() if done.returncode == 0 else ""


def in_history(path: Path) -> bool:
    """Return whether git remembers a file, whether or not it is there now."""
    # Without --full-history a merge that leaves the file out hides the branch that had it.
    log = ("log", "-1", "--all", "--full-history", "--format=%H", "--", path.name)
    return bool(_git(path, *log))
