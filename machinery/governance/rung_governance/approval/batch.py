"""Batch scoring as the approval allows, with each prediction logged: what `rung-ops predict` calls.

For a model that is not approved the plan decides whether nothing is scored or every row says so; at
rung 1, without validation, files are only scored. The image for scoring runs this too, without
registry, git and OpenSSH: it has the committed records, and the releases' folder where that is mounted.
"""

import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import polars as pl

from rung_governance.approval import (
    admission,
    bound_facts,
    plan,
    signatures,
    signed_approval,
    validation,
)
from rung_governance.approval.admission import SignedStateReader
from rung_governance.approval.bound_facts import NotApprovedError
from rung_governance.approval.keys import AuditLogError
from rung_governance.approval.signed_log import SignedLog
from rung_ops import contract
from rung_ops.batch import predict, predict_logged
from rung_ops.errors import StageError
from rung_ops.model import bundle
from rung_ops.model.added_columns import NOT_APPROVED
from rung_ops.project import current, paths
from rung_ops.project.paths import shown
from rung_ops.release import state
from rung_ops.training import refit


@contextmanager
def log_predictions() -> Iterator[Callable[[pl.DataFrame], pl.DataFrame]]:
    """Log scored rows, and mark those of an unapproved model; at rung 1 do neither."""
    if not (current().repository / validation.RECORDS).is_dir():
        yield predict.as_scored
        return
    production = paths.environment(paths.PRODUCTION)
    _refuse_while_stopped(production)
    marks = []
    if reasons := objections():
        message = f"The model is not approved: {'; '.join(reasons)}"
        if plan.approval_terms().refuses_batch:
            raise StageError(f"Nothing was scored. {message}")
        print(message, file=sys.stderr)
        marks = [pl.lit("; ".join(reasons)).alias(NOT_APPROVED)]
    with predict_logged.log_predictions() as log:
        yield lambda scored: log(scored.with_columns(marks))
        _refuse_while_stopped(production)  # or what was logged meanwhile would count


def _refuse_while_stopped(folder: Path) -> None:
    """Raise StageError while a stop holds, or if that cannot be determined."""
    stopped = None
    with suppress(state.StateError):  # the log says what holds
        stopped = state.read(folder).stopped
    if (folder / state.HISTORY).exists() and not stopped:
        reading = SignedStateReader(folder).read()
        stopped = reading.state.stopped
        if not stopped and not reading.is_valid:
            raise StageError(f"Nothing was logged or written. {' '.join(reading.problems)}")
    if stopped:
        raise StageError(
            f"Nothing was logged or written: {stopped.by} stopped the model at {stopped.at}: "
            f"{stopped.reason}"
        )


UNKNOWN = "whether it is approved is not known here: {}"


def objections() -> list[str]:
    """List why this model is not approved."""
    if importlib.util.find_spec("mlflow") is None:
        return list(carried_objections())
    name = predict_logged.release()
    version, _, digest = name.removeprefix("v").partition("-")
    if not version.isdecimal():
        return [f"model {digest} was not registered by the pipeline"]
    try:
        from rung_ops.tracking import registry

        registered = registry.version(version)
        return [*validation.objections(registered, answered=True), *_not_at_hand(registered)]
    except (ImportError, StageError) as error:
        return [UNKNOWN.format(error)]
    except Exception as error:  # MLflow's own; the image for scoring does not have it
        return [UNKNOWN.format(str(error).splitlines()[0])]


def _not_at_hand(version: validation.Version) -> Iterator[str]:
    """Say where model/ and src/ are not those of the version that dvc.lock leads to."""
    if bundle.digest(refit.served_model()) != version.tags.get("model_file"):
        yield f"{shown(refit.served_model())} is not the model of version {version.version}"
    commit, package = version.tags.get("git_commit", ""), contract.package()
    committed = bundle.source_hash_of_commit(current().root, commit, package)
    if not committed:
        yield f"this clone lacks commit {commit[:12]}, whose source version {version.version} has"
    elif bundle.source_hash_of_folder(current().root, package) != committed:
        yield f"src/{package} is not as commit {commit[:12]} of version {version.version} has it"


def carried_objections() -> Iterator[str]:
    """Say why this model is not approved, as far as that is known here."""
    signers = signatures.signers_file()
    if not signers.is_file():
        yield (
            "no signature says here which model was validated: `uv run poe predict` in the project "
            "knows"
        )
        return
    digest = bundle.digest(refit.served_model())
    allowed = signers.read_text(encoding="utf-8")
    files = sorted((current().root / validation.RECORDS).glob("*.approval.json"))
    signed = {path: _verified(path, allowed) for path in files}
    named = [path for path in files if signed[path].get("model_file") == digest]
    if not named:
        yield f"no approval that a validator has signed names this model ({digest[:12]})"
        return
    source = bundle.source_hash_of_folder(current().root, contract.package())
    reasons = [list(_lapsed(path, signed[path], source)) for path in named]
    yield from min(reasons, key=len)  # a model that was registered twice needs one approval


def _verified(path: Path, allowed: str) -> Mapping[str, Any]:
    """Return an approval; an empty one where its signature does not count."""
    try:
        text = path.read_bytes()
        proof = signed_approval.proof_of(path).read_text(encoding="utf-8")
        return admission.verified(text, proof, allowed)
    except (OSError, ValueError, NotApprovedError):
        return {}


def _lapsed(path: Path, signed: Mapping[str, Any], source: str) -> Iterator[str]:
    if signed.get("source_hash") != source:
        yield "src/ is not the source that was approved"
    yield from bound_facts.overdue(signed)
    digest = bound_facts.file_hash(path)
    if signed_approval.withdrawal_of(path, digest).is_file():
        yield "its approval was withdrawn"
        return
    if not plan.path(current().root).is_file():  # before rung 3: nothing is served, without a log
        return
    folder = paths.environment(paths.PRODUCTION)
    if not (folder / state.HISTORY).is_file():
        yield (
            "whether its approval was withdrawn since is not known here: mount the folder of the "
            "releases at /app/releases"
        )
        return
    log = SignedLog(folder)
    try:
        log.follow()
    except (AuditLogError, OSError) as error:
        yield f"whether its approval was withdrawn since is not known: {error}"
        return
    if digest in log.withdrawn:
        yield "its approval was withdrawn"
