"""Write a version of the registry as a signed release: `uv run poe release [VERSION or alias]`."""

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from rung_ops.model import bundle, released
from rung_ops.model.bundle import BundleError, ReleaseFiles
from rung_ops.model.predictors import CustomModelRefusedError
from rung_ops.model.verification import verify
from rung_ops.project import release_folders
from rung_ops.project.paths import shown
from rung_ops.release import content, keys, signing
from rung_ops.release.contract_file import UnservableRow
from rung_ops.release.entity_values import refuse_without_values
from rung_ops.release.export import NoFormat
from rung_ops.system import atomic, locks
from rung_ops.system.printable import printable


def write(
    folder: Path,
    estimator: Any,
    train: pl.DataFrame,
    test: pl.DataFrame,
    facts: Mapping[str, Any],
    private_key: bytes | None,
    documents: Mapping[str, str] | None = None,
    source: Path | None = None,
) -> Path:
    """Write a release into a folder of releases: load-tested and signed, or not at all.

    Args:
        folder: the parent folder; a release of the same id is replaced.
        estimator: the fitted estimator.
        train, test: rows of Row that it was trained on, and held-out rows.
        facts: model, version, run_id, git_commit, git_author, git_dirty, data_hash, params_hash.
        private_key: PEM text of the signing key; None leaves it unsigned, for `rung-ops sign`.
        documents: text of further files by name, such as slices.json, comparison.json, card.md.
        source: the user's package as it was at training; by default the one in use.

    Returns:
        The folder of the release.

    Raises:
        BundleError: the service would refuse it, for one as its entity features are not in the store.
        NoFormat: the model cannot be written in any format.
        UnservableRow: Row has a column that a request cannot hold.
        signing.BadKey: the key cannot sign.
        locks.LockTimeoutError: another process holds the lock of the folder.
    """
    # The load test needs a signature, so it is signed with a throw-away key.
    key = private_key or signing.new_key()
    public_key = signing.public_key_of(key)
    name = bundle.release_id(facts["version"], facts["git_commit"], facts["data_hash"])
    with atomic.draft_folder(folder) as draft:
        staged = draft / name
        content.fill(staged, estimator, train, test, facts, documents or {}, source)
        if private_key is not None:  # else another job deploys it, which reaches the store
            refuse_without_values(name, ReleaseFiles.of(staged).json(bundle.CONTRACT))
        signing.sign(staged, key)
        _load(staged, public_key)
        if private_key is None:
            (staged / bundle.SIGNATURE).unlink()
        return put(staged, folder)


def put(staged: Path, folder: Path) -> Path:
    """Move a release from a draft folder to the folder of releases, replacing one of its name.

    Raises:
        locks.LockTimeoutError: another process holds the lock of the folder.
    """
    final = folder / staged.name
    with locks.locked(folder):
        if final.exists():
            final.rename(staged.with_name("replaced"))
        staged.rename(final)
    return final


def _load(staged: Path, public_key: bytes) -> None:
    try:
        released.load(staged, public_key)
    except (
        BundleError
    ) as error:  # often too slow, and then it matters why it is in no faster format
        formats = bundle.read_manifest(staged)["parity"]["formats"]
        unused = [_format_line(each) for each in formats if not each["ok"]]
        raise BundleError("\n".join([str(error), *unused])) from error


def main(arguments: list[str] | None = None) -> int:
    """Release a version; return the exit code."""
    options = options_of(arguments)
    from rung_ops.release import registry_artifacts
    from rung_ops.tracking import model_bytes

    try:
        private_key = None if options.unsigned else keys.private_key()
        version = registry_artifacts.version(options.version)
        facts = registry_artifacts.facts(version)
        folder = options.unsigned or release_folders.candidates()
        name = bundle.release_id(facts["version"], facts["git_commit"], facts["data_hash"])
        if private_key and was_released(folder / name, signing.public_key_of(private_key)):
            return 0
        train, test = registry_artifacts.rows(version)
        with tempfile.TemporaryDirectory() as temporary:
            downloads = Path(temporary)
            source = registry_artifacts.source(version, downloads)
            estimator = registry_artifacts.estimator_of(version, downloads)
            facts["model_hash"] = model_bytes.digest(version, downloads)
            documents = registry_artifacts.documents(version, downloads)
            made = write(folder, estimator, train, test, facts, private_key, documents, source)
    except (
        *(
            BundleError,
            NoFormat,
            UnservableRow,
            CustomModelRefusedError,
            keys.NoKey,
            signing.BadKey,
            registry_artifacts.NotReleasable,
        ),
        locks.LockTimeoutError,
    ) as error:
        print(f"Nothing was released. {error}", file=sys.stderr)
        return 1
    for line in summary(made):
        print(line)
    return 0


def options_of(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line: version, unsigned."""
    parser = argparse.ArgumentParser(prog="poe release", description=__doc__.splitlines()[0])
    parser.add_argument(
        "version",
        nargs="?",
        default="challenger",
        help="number or alias of the version; the challenger by default",
    )
    parser.add_argument(
        "--unsigned",
        metavar="FOLDER",
        type=Path,
        help="write it there without a signature, for `rung-ops sign` in another job of CI",
    )
    return parser.parse_args(arguments)


def was_released(folder: Path, public_key: bytes) -> bool:
    """Say that a valid release exists: it may be in use, so it is not written again."""
    try:
        verify(folder, public_key)
    except (BundleError, OSError):
        return False
    print(f"{folder.name} was released before: {shown(folder)}")
    return True


def summary(folder: Path) -> list[str]:
    """Describe a release and the formats that were tried, a line each."""
    manifest = bundle.read_manifest(folder)
    parity = manifest["parity"]
    size = sum((folder / path).stat().st_size for path in bundle.paths_of(folder))
    lines = [_format_line(each) for each in parity["formats"]]
    lines += [
        f"note: the model has no prediction for {printable(case)}" for case in parity["unanswered"]
    ]
    if manifest["git_dirty"] == "true":
        lines.append("note: the version was made from uncommitted changes")
    by_row = manifest["row_features"]
    if not by_row["used"]:
        lines.append(f"note: polars computes the features of each request: {by_row['reason']}")
    return [
        *lines,
        f"{manifest['format']}, {size / 1e6:.1f} MB; on {parity['rows']:,} rows it differs from "
        f"the estimator by at most {parity['max_difference']:.2g} "
        f"(tolerance: {parity['tolerance']:.2g})",
        f"{_verb(folder)}: {shown(folder)}",
    ]


def _verb(folder: Path) -> str:
    if (folder / bundle.SIGNATURE).exists():
        return f"released {folder.name}"
    return f"built {folder.name}, unsigned"


def _format_line(tried: dict[str, Any]) -> str:
    if not tried["ok"]:
        return f"{tried['format']}: not used: {tried['reason']}"
    return (
        f"{tried['format']}: {tried['reason'] or 'used'}; one row takes "
        f"{tried['microseconds_one_row']:.0f} us, 64 rows {tried['microseconds_64_rows']:.0f} us"
    )
