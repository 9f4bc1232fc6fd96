"""Whether an independent validation approves of a version, and by which record and whose signature.

Where governance/allowed_signers is there, the record counts only with an approval that is signed by a
validator's key (`poe approve`). The check needs no registry, so that it works where MLflow does not.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from rung_governance.approval import bound_facts, developers, plan, signatures, signed_approval
from rung_governance.approval.bound_facts import NotApprovedError
from rung_governance.record_check import check_record, read_schema
from rung_ops.errors import UnreadableFileError, VersionError
from rung_ops.model import bundle
from rung_ops.project import current, documents, paths
from rung_ops.project.paths import shown

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

INVENTORY = "governance/model_inventory.yaml"
RECORDS = "governance/validation"
APPROVED = "approved"


@dataclass(frozen=True)
class ReleasedVersion:
    """The version that a release was made of."""

    name: str
    version: str
    tags: Mapping[str, str]  # what it was made from, as rung_ops.tracking.last_run names it


# Of the registry, which brings MLflow, or of a release.
Version: TypeAlias = "ModelVersion | ReleasedVersion"


def _contradictions(version: Version, record: dict[str, Any]) -> Iterator[str]:
    """Say why a complete record does not approve of a version."""
    if (record["model"], record["version"]) != (version.name, int(version.version)):
        yield (
            f"the record is about {record['model']} {record['version']}, "
            f"not about {version.name} {version.version}"
        )
    for tag in ("git_commit", "data_hash"):
        if (tagged := version.tags.get(tag)) is not None and record[tag] != tagged:
            yield f"the record names {tag} {record[tag]}, and the version was made from {tagged}"
    yield from version_objections(version)
    named = record["validator"]
    if developers.known_by([named["name"], named["email"]]) & known_developers(version):
        who = f"{named['name']} <{named['email']}>"
        yield f"{who} developed the model, and cannot be the one who validates it"
    if record["decision"] != APPROVED:
        yield f"the validation of {record['date']} has {record['decision']} this version"


def version_objections(version: Version) -> Iterator[str]:
    """Say why no record could approve of a version: what it is made of or who made it is unknown."""
    number = version.version
    for tag in ("git_commit", "data_hash"):
        if version.tags.get(tag) is None:
            yield f"version {number} has no tag {tag}, so what it was made from is unknown"
    if version.tags.get("git_dirty") == "true":
        yield (
            f"version {number} was made from files that differ from its commit. Commit them, then "
            "`uv run dvc repro --force --single-item track` registers another version"
        )
    if not version.tags.get("git_author"):
        yield f"version {number} has no tag git_author, so its developer is unknown"
    if not _developer_of_inventory(version):
        yield f"{INVENTORY} names no developer of {version.name}"


def known_developers(version: Version) -> frozenset[str]:
    """Collect what the developers of a version are known by: of its tags, and of the inventory."""
    tagged = (version.tags.get(tag, "") for tag in ("git_author", "git_trainer"))
    return developers.known_by([*tagged, *_developer_of_inventory(version).split(",")])


def _developer_of_inventory(version: Version) -> str:
    path = root() / INVENTORY
    try:
        models = documents.record(path).get("models") if path.is_file() else None
    except UnreadableFileError as error:
        raise NotApprovedError(f"{INVENTORY} {error}") from error
    entries = (
        [each for each in models if isinstance(each, dict)] if isinstance(models, list) else []
    )
    of_model = (each for each in entries if each.get("name") == version.name)
    return ",".join(str(each.get("developer", "")) for each in of_model)


def released_version(manifest: Mapping[str, Any]) -> ReleasedVersion:
    """Take the version out of the manifest of a verified release."""
    tags = {name: str(value) for name, value in manifest.items() if isinstance(value, str)}
    tags["source_hash"] = bundle.source_hash(manifest.get("files", {}))
    return ReleasedVersion(str(manifest["model"]), str(manifest["version"]), tags)


def of_release(folder: Path, release: str) -> ReleasedVersion:
    """Return the version that a release of an environment was made of; raises BundleError."""
    return released_version(bundle.read_manifest(paths.bundle(folder, release)))


def objections(
    version: Version, verdict: Mapping[str, Any] | None = None, answered: bool = False
) -> list[str]:
    """List why a version is not approved; empty if it is.

    Args:
        version: of the registry, or of a release.
        verdict: of the gate now, from signed_approval.verdict_facts(); None if the gate is not
            asked.
        answered: whether it has come to answer already. Then only what it is made of is compared:
            a plan or rules that changed since bind what comes after it.
    """
    reasons = record_objections(version)
    if is_signed():
        return reasons or list(_signed_objections(version, verdict, answered))
    if signed_approval.in_history(signatures.signers_file(root())):
        reasons.append(
            f"{signatures.SIGNERS} was deleted, and approvals were signed here: restore it"
        )
    return reasons


def withdrawal_objections(version: Version) -> list[str]:
    """Say that the approval of a version was withdrawn, and has not been signed again since."""
    return list(signed_approval.withdrawn(approval_path(version)))


def is_signed() -> bool:
    """Return whether approvals are signed here; a team of one has no second key."""
    return signatures.signers_file(root()).is_file()


def record_objections(version: Version) -> list[str]:
    """List why the validation record does not approve of a version."""
    files = record_paths(version)
    if not files:
        named = f"{RECORDS}/{version.name}-{version.version}.yaml"
        return [f"{named} does not exist: there is no validation of version {version.version}"]
    if len(files) > 1:
        both = " and ".join(path.name for path in files)
        return [f"{both} in {RECORDS} are records of one version: keep one"]
    schema = read_schema("validation", root())
    if faults := list(check_record(files[0], schema, root())):
        return list(map(str, faults))
    return list(_contradictions(version, documents.record(files[0])))


def record_paths(version: Version) -> list[Path]:
    """Find the files that claim to be the record of this version."""
    name = f"{version.name}-{version.version}"
    files = (root() / RECORDS / f"{name}{ending}" for ending in (".yaml", ".yml", ".md"))
    return list(filter(Path.is_file, files))


def root() -> Path:
    """Return the folder of the model whose versions are approved."""
    return current().root


def approval_path(version: Version) -> Path:
    """Name the file of a version's signed approval."""
    return root() / RECORDS / f"{version.name}-{version.version}.approval.json"


def made_of(version: Version) -> dict[str, str]:
    """Tell what a version is made of, by bound_facts.MADE_OF.

    Model and source of a registry's version are hashed; its tags are not asked for them.
    """
    tags = dict(version.tags)
    if not isinstance(version, ReleasedVersion):
        from rung_ops import contract  # neither is needed by a service
        from rung_ops.tracking import versions  # brings MLflow, which takes seconds

        tags["model_hash"] = versions.model_digest(version)
        commit = tags.get("git_commit", "")
        tags["source_hash"] = bundle.source_hash_of_commit(root(), commit, contract.package())
    return {name: tags.get(name, "") for name in bound_facts.MADE_OF}


def _signed_objections(
    version: Version, verdict: Mapping[str, Any] | None, answered: bool
) -> Iterator[str]:
    path = approval_path(version)
    if not path.is_file():
        yield f"{shown(path)} is missing: a validator signs with `uv run poe approve {version.version}`"
        yield from withdrawal_objections(version)
        return
    try:
        signed, validator = signed_approval.read(path, root())
    except NotApprovedError as error:
        yield str(error)
        return
    (record,) = record_paths(version)
    if (signed.get("model"), signed.get("version")) != (version.name, str(version.version)):
        yield f"{path.name} approves of {signed.get('model')} {signed.get('version')}"
    yield from withdrawal_objections(version)
    yield from bound_facts.overdue(signed)
    now = made_of(version)
    if not now["source_hash"]:
        del now["source_hash"]  # a clone without the commit, which person_objections() speaks of
    if not answered:
        now |= signed_approval.decided_by(record, root())
        yield from signed_approval.other_terms(signed, root())
    yield from bound_facts.changed(signed, now, None if answered else verdict)
    yield from person_objections(version, validator, answered)


def person_objections(version: Version, validator: str, answered: bool = False) -> Iterator[str]:
    """Say why the one who signed may not approve.

    Args:
        version: that was developed.
        validator: as governance/allowed_signers names the key.
        answered: whether it has come to answer already. Then a clone without the history is no
            objection: a rollback must work there, and the history was asked before.
    """
    (record,) = record_paths(version)
    together = signatures.same_person(root())
    named = documents.record(record)["validator"]
    me = developers.known_by([validator], together)
    if not me & developers.marks(str(named["email"])):
        yield f"the record is by {named['email']}, and {validator} signed it"
    me |= developers.marks(str(named["name"]))
    commit, approved = str(version.tags["git_commit"]), list(_approved_commits(version))
    # An approval of one's own commits does not count: the next version counts from the one before.
    every = [each for each, _ in approved]
    by_others = [each for each, by in approved if not developers.known_by([by], together) & me]
    try:
        developed = made = developers.commits(commit, by_others, root())
        if by_others != every:
            made = developers.commits(commit, every, root())
    except VersionError as error:
        if not answered:
            yield str(error)
        return
    terms = plan.approval_terms(root())
    for each in developed:
        if developers.known_by(each.people, together) & me:
            yield f"{validator} developed the model (commit {each.id[:10]}), and cannot validate it"
            return
    for each in made:
        short = each.id[:10]
        if each.odd:
            yield f"commit {short} changes {each.odd[0]}, which the autopilot never does"
        if terms.signed_commits and each.people and not each.signed:
            yield f"commit {short} is not signed, so that who made it is only a text"
            return


def _approved_commits(version: Version) -> Iterator[tuple[str, str]]:
    """List the commits of the model's other versions that were approved, each with who signed."""
    for path in sorted((root() / RECORDS).glob(f"{version.name}-*.approval.json")):
        if path == approval_path(version):
            continue
        try:
            signed, by = signed_approval.read(path, root())
        except NotApprovedError:
            continue
        is_own = path.name == f"{signed.get('model')}-{signed.get('version')}.approval.json"
        if is_own and not list(signed_approval.withdrawn(path)):
            yield str(signed.get("git_commit")), by


def approval_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Describe what approves of a release: record, its SHA-256, validator, day, and the signature."""
    version = released_version(manifest)
    (path,) = record_paths(version)
    record = documents.record(path)
    facts = {
        "record": shown(path),
        "record_hash": bound_facts.file_hash(path),
        "validator": f"{record['validator']['name']} <{record['validator']['email']}>",
        "validated": str(record["date"]),
    }
    if not is_signed():
        return facts | {
            "signed_by": "no one: a team of one has no second key",
            bound_facts.HOOKS: bound_facts.hooks_of_service(),
            bound_facts.OTHER_HOOKS: plan.approval_terms(root()).hooks,
        }
    signed = approval_path(version)
    content, signer = signed_approval.read(signed, root())
    text = signed.read_bytes()
    return facts | {
        "signed_by": signer,
        "expires": str(content["expires"]),
        "approval_hash": hashlib.sha256(text).hexdigest(),
        # Themselves, as the service that verifies them has no repository.
        "approval": text.decode(),
        "approval_signature": signed_approval.proof_of(signed).read_text(encoding="utf-8"),
    }
