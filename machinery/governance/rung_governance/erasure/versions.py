"""Versions of the data that DVC keeps and git names: which of them hold a person's rows."""

import json
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from rung_governance.erasure import tables
from rung_governance.erasure.subject import Subject
from rung_ops.data import dvc
from rung_ops.project import current
from rung_ops.system import git

MD5 = re.compile(r"[0-9a-f]{32}")
RECORDS = ("*.dvc", "*dvc.lock")
USER = re.compile(r"//[^/]*@")


@dataclass(frozen=True)
class Version:
    """A file of some version: its name then, and the name of its content in cache and remote."""

    path: str
    md5: str

    @property
    def stored(self) -> str:
        """Where cache and remote keep it."""
        return f"files/md5/{self.md5[:2]}/{self.md5[2:]}"


@dataclass
class SearchedVersions:
    """The result of a search of the versions.

    Attributes:
        holding: versions with rows of the person, in the local cache, with their number.
        elsewhere: versions that are not in the local cache.
        unreadable: versions in it that cannot be read as a table.
    """

    holding: list[tuple[Version, int]] = field(default_factory=list)
    elsewhere: list[Version] = field(default_factory=list)
    unreadable: list[Version] = field(default_factory=list)


def cache() -> Path:
    """Find the local cache of DVC."""
    done = dvc.run(current().root, "cache", "dir")
    named = done.stdout.strip()
    return (
        (current().root / named)
        if done.returncode == 0 and named
        else current().root / ".dvc/cache"
    )


def remotes() -> dict[str, str]:
    """Find DVC's remotes: names and addresses, without the user and password that one may have."""
    # As `dvc remote list` breaks its lines at the width of a terminal.
    listed = (
        line.partition("=")
        for line in dvc.run(current().root, "config", "--list").stdout.splitlines()
    )
    return {
        key.removeprefix("remote.").removesuffix(".url"): USER.sub("//", address)
        for key, _, address in listed
        if key.startswith("remote.") and key.endswith(".url")
    }


def search(subject: Subject, folder: Path) -> SearchedVersions:
    """Search the versions of all commits, and of the current files.

    Args:
        subject: whose rows.
        folder: DVC's local cache.
    """
    searched = SearchedVersions()
    # Once each, though a run of MLflow keeps a copy of the records that it was made by.
    once = {
        each.md5: each for each in sorted(_all(folder), key=lambda each: each.path, reverse=True)
    }
    for version in sorted(once.values(), key=lambda each: (each.path, each.md5)):
        path = folder / version.stored
        if version.md5.endswith(".dir") or not path.is_file():
            searched.elsewhere.append(version)
            continue
        kind = Path(version.path).suffix
        try:
            rows = tables.count(path, subject, kind) if kind in tables.SUFFIXES else None
        except tables.UnreadableTable:
            rows = None
        if rows is None:
            searched.unreadable.append(version)
        if rows:
            searched.holding.append((version, rows))
    return searched


def forget(version: Version, folder: Path) -> None:
    """Delete a version from the local cache.

    Raises:
        OSError: it cannot be deleted.
    """
    (folder / version.stored).unlink(missing_ok=True)


def _all(folder: Path) -> set[Version]:
    """List versions of tables, of raw files of any kind, and of folders whose list is not here."""
    versions = set()
    for record, text in _records():
        for version in _outputs(record, text):
            if version.md5.endswith(".dir"):
                versions |= set(_members(version, folder)) or {version}
            elif record.endswith(".dvc") or version.path.endswith(tables.SUFFIXES):
                versions.add(version)
    return versions


def _members(version: Version, folder: Path) -> Iterator[Version]:
    """List the files of a folder that DVC keeps as one; nothing if its list is not here."""
    try:
        listed = json.loads((folder / version.stored).read_bytes())
    except (OSError, ValueError):
        return
    for each in listed:
        yield Version(f"{version.path}/{each['relpath']}", each["md5"])


def _records() -> Iterator[tuple[str, str]]:
    """Read every version of DVC's records, of all commits and of the working tree, with its path."""
    named = (f":(glob)**/{name}" for name in RECORDS)
    listed = git.run(current().root, "rev-list", "--all", "--objects", "--", *named)
    for line in listed.stdout.splitlines():
        blob, _, path = line.partition(" ")
        if path.endswith((".dvc", "dvc.lock")):
            yield path, git.run(current().root, "cat-file", "blob", blob).stdout
    for file in current().root.rglob("*"):
        is_record = file.suffix == ".dvc" or file.name == "dvc.lock"
        inside = file.relative_to(current().root)
        if is_record and file.is_file() and not tables.PASSED_OVER & set(inside.parts):
            yield inside.as_posix(), file.read_text(encoding="utf-8")


def _outputs(record: str, text: str) -> Iterator[Version]:
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError):
        return  # of a commit with markers of a conflict
    if not isinstance(content, dict):
        return
    stages = content.get("stages")
    holders = [content, *(stages.values() if isinstance(stages, dict) else [])]
    for holder in holders:
        outs = holder.get("outs") if isinstance(holder, dict) else None
        for each in outs if isinstance(outs, list) else []:
            if isinstance(each, dict) and MD5.match(str(each.get("md5"))):
                path = posixpath.normpath(posixpath.join(posixpath.dirname(record), each["path"]))
                yield Version(path, each["md5"])
