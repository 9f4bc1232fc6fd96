"""Write a version of the registry as a signed release: `uv run poe release [VERSION or alias]`."""

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from rung_ops.custom_model import CustomModelRefusedError
from rung_ops.project.paths import shown
from rung_ops.release import bundle, content, keys, paths, signing
from rung_ops.release.bundle import BadBundle
from rung_ops.release.contract_file import UnservableRow
from rung_ops.release.export import NoFormat
from rung_ops.release.verify import verify
from rung_ops.serving import release
from rung_ops.system import atomic, locks


def write(
    folder: Path,
    estimator: Any,
    train: pl.DataFrame,
    test: pl.DataFrame,
    facts: Mapping[str, Any],
    private_key: bytes,
    documents: Mapping[str, str] | None = None,
    source: Path | None = None,
) -> Path:
    """Write a release into a folder of releases: whole, signed and tried, or not at all.

    Args:
        folder: where it goes; its own folder in there is named by its id, and one of the same id
            is replaced.
        estimator: the fitted estimator.
        train, test: rows of Row that it learned from, and others.
        facts: model, version, run_id, git_commit, git_author, git_dirty, data_hash, params_hash.
        private_key: PEM text of the key that signs.
        documents: further files by name, as slices.json, comparison.json and card.md.
        source: the user's package as it was at training; the one in use unless given.

    Returns:
        The release's folder.

    Raises:
        BadBundle: the service would refuse it.
        NoFormat: the model cannot be written in any format.
        UnservableRow: Row has a column that a service cannot ask for.
        signing.BadKey: the key cannot sign.
        locks.LockTimeoutError: another process keeps the folder's lock.
    """
    public_key = signing.public_key_of(private_key)
    name = bundle.release_id(facts["version"], facts["git_commit"], facts["data_hash"])
    with atomic.draft_folder(folder) as place:
        staged = place / name
        content.fill(staged, estimator, train, test, facts, documents or {}, source)
        signing.sign(staged, private_key)
        release.load(staged, public_key)
        final = folder / name
        with locks.locked(folder):
            if final.exists():
                final.rename(place / "replaced")
            staged.rename(final)
    return final


def main(arguments: list[str] | None = None) -> int:
    """Release a version; return the exit code."""
    parser = argparse.ArgumentParser(prog="poe release", description=__doc__.splitlines()[0])
    parser.add_argument(
        "version",
        nargs="?",
        default="challenger",
        help="its number or its alias; the challenger unless you say so",
    )
    asked = parser.parse_args(arguments).version
    from rung_ops.release import registry_artifacts

    try:
        private_key = keys.private_key()
        version = registry_artifacts.version(asked)
        facts = registry_artifacts.facts(version)
        folder = paths.candidates()
        name = bundle.release_id(facts["version"], facts["git_commit"], facts["data_hash"])
        if _is_there(folder / name, signing.public_key_of(private_key)):
            print(f"{name} was released before: {shown(folder / name)}")
            return 0
        train, test = registry_artifacts.rows(version)
        with tempfile.TemporaryDirectory() as place:
            source = registry_artifacts.source(version, Path(place))
            estimator = registry_artifacts.estimator_of(version, Path(place))
            documents = registry_artifacts.documents(version, Path(place))
            made = write(folder, estimator, train, test, facts, private_key, documents, source)
    except (
        *(
            BadBundle,
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
    for line in told(made):
        print(line)
    return 0


def _is_there(folder: Path, public_key: bytes) -> bool:
    """Tell whether a release is there and good: it may be in use, and is not written twice."""
    try:
        verify(folder, public_key)
    except (BadBundle, OSError):
        return False
    return True


def told(folder: Path) -> list[str]:
    """Say what was written, for the person who asked for it."""
    manifest = bundle.read_manifest(folder)
    parity = manifest["parity"]
    size = sum((folder / path).stat().st_size for path in bundle.paths_of(folder))
    lines = [_told_of(each) for each in parity["formats"]]
    lines += [f"note: the model itself has no answer for {case}" for case in parity["unanswered"]]
    if manifest["git_dirty"] == "true":
        lines.append("note: the version was made from files that differ from its commit")
    return [
        *lines,
        f"{manifest['format']}, {size / 1e6:.1f} MB; on {parity['rows']:,} rows it differs from "
        f"the estimator by at most {parity['max_difference']:.2g} "
        f"(tolerated: {parity['tolerance']:.2g})",
        f"released {folder.name}: {shown(folder)}",
    ]


def _told_of(tried: dict[str, Any]) -> str:
    if not tried["ok"]:
        return f"{tried['format']}: not used: {tried['reason']}"
    return (
        f"{tried['format']}: {tried['reason'] or 'used'}; one row takes "
        f"{tried['microseconds_one_row']:.0f} us, 64 rows {tried['microseconds_64_rows']:.0f} us"
    )
