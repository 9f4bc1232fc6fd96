"""The gate's verdict, computed again: neither reports/gate.json nor the registry's tags are believed.

What a version is judged by has to be committed, so that it can be looked up later.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlflow.entities.model_registry import ModelVersion

from rung_governance.approval import bound_facts, plan, signatures, signed_approval, validation
from rung_ops.errors import SettingsError
from rung_ops.gate import registry_gate
from rung_ops.gate import rules as gate_rules
from rung_ops.gate.verdict import Verdict
from rung_ops.project import current, keyless
from rung_ops.project.paths import shown
from rung_ops.system.files import md5
from rung_ops.tracking import last_run, registry, store_address, versions


def uncommitted(*further: Path, root: Path | None = None) -> Iterator[str]:
    """Say which of the files that judge a version are not as a commit has them."""
    judging = (
        *((root or current().root) / "params.toml", gate_rules.rules_file()),
        *(plan.path(root), signatures.signers_file(root)),
    )
    for path in (*judging, *further):
        if not signed_approval.is_as_committed(path):
            yield f"{shown(path)} is not as it is committed: what judges a version is committed first"


# Tags that the pipeline writes to a version and to its run.
ORIGIN = ("git_commit", "git_author", "git_dirty", "data_hash", "params_hash", "model_hash")


def verdict(version: str, signing: bool = False) -> Verdict:
    """Run the gate: with the change control plan where there is one, and by what is committed.

    Args:
        version: its number.
        signing: whether its validator signs now. Then the record, whose hash is signed, is committed
            with the signature; `poe release` asks for that.

    Raises:
        SettingsError: ops/gate.toml cannot be applied.
        registry.ServerDownError: the registry does not answer.
    """
    raises = (SettingsError, registry.ServerDownError)
    with registry.server_errors(store_address.tracking_uri, registry_gate.RETRY):
        judge = "rung_governance.approval.rejudge:judged"
        again = Verdict(**keyless.call(judge, version, raises=raises))
        if not again.challenger:
            return again
        about = validation.ReleasedVersion(registry.model_name(), again.challenger["version"], {})
        records = () if signing else validation.record_paths(about)
        return again.with_reasons([*uncommitted(*records), *other_rows()])


def other_rows() -> Iterator[str]:
    """Say that rows which judge a version are not those that the pipeline made."""
    for path in filter(Path.is_file, (current().train, current().test)):
        if last_run.recorded_hash(path) not in ("", md5(path)):
            yield (
                f"{shown(path)} is not what dvc.lock says the pipeline made: `uv run dvc repro split` "
                "makes it again"
            )


def judged(version: str) -> dict[str, Any]:
    """Run the gate, which imports the code of version, champion and project; return the verdict."""
    if not plan.path().is_file():
        return dataclasses.asdict(registry_gate.registry_verdict(version))
    from rung_governance.approval import gate

    return dataclasses.asdict(gate.verdict(version))


def faults(version: str, released: Mapping[str, Any] | None = None) -> list[str]:
    """List what differs from what was recorded of a version, and why the gate refuses it."""
    registered = registry.version(version)
    again = verdict(version)
    edited = _edited(again, gate_rules.verdict_file())
    return [*_origin(registered, released), *edited, *again.reasons]


def _origin(version: ModelVersion, released: Mapping[str, Any] | None) -> Iterator[str]:
    """Compare a version, and its release, with what its run recorded; the model by its bytes."""
    recorded = registry.client().get_run(str(version.run_id)).data.tags
    for name in (*ORIGIN, versions.MODEL_FILE):
        was, is_ = recorded.get(name), version.tags.get(name)
        if was != is_:
            yield (
                f"the registry's tag {name} of version {version.version} was edited: it is {is_}, "
                f"and its run recorded {was}"
            )
        if released and was and name in ORIGIN and released.get(name) != was:
            yield f"the release says {name} {released.get(name)}, and its run recorded {was}"
    if recorded.get("model_hash"):
        if versions.model_digest(version) != recorded["model_hash"]:
            yield f"the model of version {version.version} is not the one that its run recorded"


def _edited(again: Verdict, path: Path) -> Iterator[str]:
    """Compare a verdict with the one that was written, where that is about the same version."""
    try:
        verdict = json.loads(path.read_bytes())
        written, by_plan = signed_approval.verdict_facts(verdict), verdict["figures"].get("plan")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return
    now = signed_approval.verdict_facts(dataclasses.asdict(again))
    if written["version"] != now["version"]:
        return
    if not bound_facts.same_verdict(written, now):
        yield (
            f"{shown(path)} does not say what the gate says: it was edited, or what the version is "
            "compared with has changed. `uv run poe gate` writes it again"
        )
    elif by_plan != again.figures.get("plan"):  # which `poe promote` refuses, too
        yield (
            f"the verdict in {shown(path)} is by another change control plan than today's: `uv run "
            f"poe gate {now['version']}` judges it again"
        )


main = registry_gate.gate_verb(verdict)
