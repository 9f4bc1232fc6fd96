"""Write a version as a signed bundle: `uv run poe release`.

Not one whose approval was withdrawn, nor one that the gate, run again, or its run's record speak
against. The version's code runs in a process without the key, and what that wrote is signed here.
"""

import sys
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion

from rung_governance.approval import rejudge, validation
from rung_ops.errors import SettingsError, VersionError
from rung_ops.model import bundle
from rung_ops.model.bundle import BundleError, ReleaseFiles
from rung_ops.project import keyless, paths
from rung_ops.project.paths import shown
from rung_ops.release import make, signing
from rung_ops.release.contract_file import refuse_without_values
from rung_ops.system import files
from rung_ops.tracking import registry, versions

FAULTS = (
    *(BundleError, VersionError),
    *(registry.MlflowException, SettingsError, files.LockTimeoutError),
)


def write(version: ModelVersion, unsigned: Path | None) -> int:
    """Write a version and sign it, or leave that to another job; return the exit code."""
    number = str(version.version)
    if unsigned:
        return int(
            keyless.call("rung_ops.release.make:main", [number, "--unsigned", str(unsigned)])
        )
    private_key, folder = signing.private_key(), paths.candidates()
    facts = versions.facts_of(version)
    name = bundle.release_id(facts["version"], facts["git_commit"], facts["data_hash"])
    if make.was_released(folder / name, signing.public_key_of(private_key)):
        return 0
    with files.draft_folder(folder) as draft:
        built = draft / "unsigned"  # this process holds the lock of the draft, the other that one's
        if code := keyless.call("rung_ops.release.make:main", [number, "--unsigned", str(built)]):
            return int(code)
        refuse_without_values(name, ReleaseFiles.wrap(built / name).json(bundle.CONTRACT))
        if signing.sign_all(built, private_key) != [name]:
            raise BundleError(f"version {number} was not written as {name}")
        made = make.put(built / name, folder)
    print(f"released {name}: {shown(made)}")
    return 0


@make.release_verb
def main(version: str, unsigned: Path | None) -> int:
    """Write a version as a signed bundle, unless its approval was withdrawn or the gate refuses it.

    VERSION is its number or alias; the challenger by default.
    """
    try:
        found = versions.find(version)
        objections = validation.withdrawal_objections(found)[:1] or rejudge.faults(
            str(found.version)
        )
        if not objections:
            return write(found, unsigned)
    except FAULTS as error:
        print(f"Nothing was released. {error}", file=sys.stderr)
        return 1
    listed = "\n- ".join(objections)
    print(f"Nothing was released of version {found.version}:\n- {listed}", file=sys.stderr)
    return 1
