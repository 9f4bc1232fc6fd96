"""An environment in a bucket: one object that holds its history, and the files of its releases.

The last change in the history is the state, so one conditional write changes both (decision 70). The
folder of the environment holds what synchronize() took up, without state.json.
"""

import functools
import shutil
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import obstore
from obstore import exceptions
from obstore.store import ObjectStore

from rung_ops.errors import OpsError
from rung_ops.model.bundle import (
    MANIFEST,
    MAX_BYTES,
    MAX_FILES,
    SIGNATURE,
    BundleError,
    public_key,
    verify,
)
from rung_ops.project import paths
from rung_ops.release import history
from rung_ops.release.history import (
    Changed,
    Make,
    State,
    StateError,
    UncertainChangeError,
    changed_meanwhile,
    state_of,
)
from rung_ops.system import buckets, files
from rung_ops.system.files import md5, stamp

HISTORY = "history.jsonl"
TAG = ".etag"  # of the bucket's history, as it was taken up
MAX_TRIES = 5  # to append to the history while others do
Version = (
    dict[str, Any] | None
)  # what obstore replaces conditionally; None where there is no object


class SupersededError(Exception):
    """The history was replaced while a release of its state was being read."""


@dataclass(frozen=True)
class BucketState:
    """The objects of one environment, and this machine's copy of them.

    Args:
        folder: of the copy.
        address: such as `s3://bucket/prefix/production`.
    """

    folder: Path
    address: str

    @property
    def _store(self) -> ObjectStore:
        return buckets.client(self.address)

    def synchronize(self, recheck: bool = False) -> None:
        """Take up the state and the releases of the bucket.

        A state is taken up when the releases that it needs are here and verified. Until then the
        folder keeps what it has.

        Args:
            recheck: verify the releases also if nothing changed since the last time.

        Raises:
            BucketError: the bucket cannot be read.
            BundleError: a release is missing there, or not what was signed.
            StateError: the history there is damaged or missing.
        """
        while True:
            with suppress(SupersededError):  # then take up what came after
                self._synchronize(recheck)
                return

    def _synchronize(self, recheck: bool) -> None:
        path, tag = self.folder / HISTORY, self.folder / TAG
        is_known = not recheck and tag.exists() and path.exists()
        known = tag.read_text(encoding="utf-8") if is_known else ""
        found = self._new_history(known)
        if found is None:
            return
        text, version = found
        if version is None:
            if path.exists():
                raise StateError(
                    f"{self.address}/{HISTORY} is missing. `poe deploy` a release by its name: that "
                    "begins another."
                )
            return
        state = _last_change(text)[0]
        self._take_up_releases(state, version)
        with files.locked(self.folder):
            held = history.content(path)
            if len(held) > len(text) and held.startswith(text):
                if len(held) > len(self._history()[0]):  # else another process was faster
                    raise StateError(
                        f"{self.address}/{HISTORY} lacks lines that it had. To go on from what is "
                        f"there, `poe deploy` another release by its name, or delete {path}."
                    )
                return
            before = _last_change(held)[0]
            files.write(path, text)
            files.write(tag, version.get("e_tag", "").encode())
            for release in before.releases() - state.releases():
                shutil.rmtree(paths.bundle(self.folder, release), ignore_errors=True)

    def _take_up_releases(self, state: State, version: Version) -> None:
        """Download and verify what a state serves and tries, and, if it can be had, what was before."""
        wanted = dict.fromkeys([state.serving, *state.on_trial, *state.previous[:1]])
        problem: OpsError | OSError | None = None
        for release in filter(None, wanted):
            try:
                self.take_up(release, version)
            except (OpsError, OSError) as error:
                if release not in state.previous:
                    problem = problem or error
        if problem is not None:
            raise problem

    def read(self) -> tuple[State, dict[str, Any] | None]:
        """Read the state from this machine's copy of the history: one file, so nothing can be half there."""
        path = self.folder / HISTORY
        if (entry := history.last_change(path)) is None:
            return State(), None
        try:
            return state_of(entry["detail"].get("state")), entry
        except StateError as error:
            raise StateError(
                f"{path} is damaged ({error}). Delete it: it is read from the bucket again."
            ) from error

    def latest(self) -> tuple[State, dict[str, Any] | None]:
        """Read the state, and the history line of its last change, from the bucket."""
        return _last_change(self._history()[0])

    def append(self, make: Make) -> Changed:
        """Append an event to the history in the bucket, which others may do at the same time."""
        for _ in range(MAX_TRIES):
            text, version = self._history()
            end = _end(text)
            new, event = make(*_last_change(text), end["hash"] if end else history.START)
            line, problem = history.line_of(event), None
            try:
                is_made = self._replace_history(text + line, version)
            except OSError as error:
                is_made, problem = False, error
            try:
                if is_made or line in (stored := self._history()[0]):  # or only the answer was lost
                    break
                if problem is not None and not _is_answer(problem):  # the store may still make it
                    raise problem
            except OSError as error:
                what = str(error).rstrip(".")
                raise UncertainChangeError(
                    f"{self.folder.name} may have been changed ({what}). `uv run poe releases` says "
                    "whether it was, when the bucket answers again."
                ) from error
            if problem is not None:
                raise problem
        else:
            raise changed_meanwhile(self.folder, _end(stored))
        with suppress(OpsError, OSError):  # the change was made, and is taken up at the next look
            self.synchronize()
        return new, event

    def _history(self) -> tuple[bytes, Version]:
        return self._new_history() or (b"", None)

    def _new_history(self, known: str = "") -> tuple[bytes, Version] | None:
        """Verify the history; return it and its version, None if it has the known ETag.

        It is empty if there is none.
        """
        with buckets.in_words(self.address):
            try:
                options: Any = {"if_none_match": known} if known else None
                found = obstore.get(self._store, HISTORY, options=options)
                text = bytes(found.bytes())
            except exceptions.NotModifiedError:
                return None
            except FileNotFoundError as error:
                if buckets.lacks_bucket(error):
                    raise
                return b"", None
        if fault := history.fault(text):
            raise StateError(
                f"{self.address}/{HISTORY}: {fault}. Put back an earlier version of it, or delete it "
                "and `poe deploy` a release by its name."
            )
        version = {name: found.meta[name] for name in ("e_tag", "version")}
        return text, {name: value for name, value in version.items() if value is not None}

    def _replace_history(self, content: bytes, version: Version) -> bool:
        """Replace this version of the history; return whether it was still the one in the bucket."""
        with buckets.in_words(self.address):
            try:
                mode: Any = version or "create"
                obstore.put(
                    self._store,
                    HISTORY,
                    content,
                    mode=mode,
                    use_multipart=False,
                )
            except (exceptions.PreconditionError, exceptions.AlreadyExistsError):
                return False
        return True

    def upload(self, release: str) -> None:
        """Bring a release to the bucket, its signature last; files that are there are left alone."""
        bundle = paths.bundle(self.folder, release)
        local = sorted(path for path in bundle.rglob("*") if path.is_file())
        local.sort(key=lambda path: path.name in (MANIFEST, SIGNATURE))
        with buckets.in_words(self.address):
            tags = {found["path"]: found["e_tag"] for found in self._files(release)}
            for path in local:
                key = f"{_folder(release)}{path.relative_to(bundle).as_posix()}"
                if (tags.get(key) or "").strip('"') != md5(path):
                    obstore.put(
                        self._store,
                        key,
                        path,
                        chunk_size=buckets.PART,
                        max_concurrency=1,
                    )

    def download(self, release: str) -> None:
        """Bring a release to this machine, if all of it is in the bucket."""
        with suppress(BundleError):
            self.take_up(release)

    def take_up(self, release: str, version: Version = None) -> None:
        """Download and verify a release, unless it is here; its folder appears complete or not at all.

        Args:
            release: its id.
            version: of the history that names it, if its download is to end when that is replaced.

        Raises:
            BucketError: it cannot be read.
            BundleError: it is not in the bucket, or its files are not those that were signed.
            SupersededError: the history was replaced.
        """
        bundle = paths.bundle(self.folder, release)
        if _is_sound(bundle):
            return
        with files.draft_folder(bundle.parent) as draft:
            made = draft / bundle.name
            self._download(release, made, version)
            verify(made, public_key())
            files.sync_tree(made)
            with files.locked(bundle.parent):
                if _is_sound(bundle):  # another process was faster
                    return
                if bundle.exists():
                    bundle.rename(draft / "replaced")
                made.rename(bundle)

    def _download(self, release: str, folder: Path, version: Version) -> None:
        with buckets.in_words(self.address):
            found = self._files(release)
            if not found or len(found) > MAX_FILES or sum(f["size"] for f in found) > MAX_BYTES:
                raise BundleError(f"{self.address}/{_folder(release)} has no release")
            for stored in found:
                path = folder / stored["path"].removeprefix(_folder(release))
                if not path.resolve().is_relative_to(folder.resolve()):
                    raise BundleError(f"{self.address}: {stored['path']!r} leads elsewhere")
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as written:
                    key, size = stored["path"], stored["size"]
                    for part in buckets.parts(
                        self._store, key, size, partial(self._check, version)
                    ):
                        written.write(part)

    def _check(self, version: Version) -> None:
        """Raise SupersededError if the history in the bucket is no longer of this version."""
        if version and (found := self._new_history(version.get("e_tag", ""))):
            if found[1] != version:  # a store may send an unchanged one, too
                raise SupersededError

    def _files(self, release: str) -> list[Any]:
        return buckets.listed(self._store, _folder(release))


def _last_change(text: bytes) -> tuple[State, dict[str, Any] | None]:
    """Return the state that the last change in a history holds, and its line."""
    for line in reversed(text.splitlines(keepends=True)):
        event = history.event_of(line)
        if event is not None and "generation" in event["detail"]:
            return state_of(event["detail"].get("state")), event
    return State(), None


def _end(text: bytes) -> dict[str, Any] | None:
    return history.event_of(text.splitlines(keepends=True)[-1]) if text else None


def _is_sound(bundle: Path) -> bool:
    """Return whether a release is there and verified; files that did not change are not read again."""
    listed = sorted(path for path in bundle.rglob("*") if path.is_file())
    return bool(listed) and _verifies(bundle, tuple(map(stamp, listed)), public_key())


@functools.lru_cache(maxsize=64)
def _verifies(bundle: Path, stamps: tuple[tuple[int, int, int], ...], key: bytes) -> bool:
    try:
        verify(bundle, key)
    except BundleError:
        return False
    return True


def _folder(release: str) -> str:
    return f"bundles/{release}/"


def _is_answer(problem: OSError) -> bool:
    """Return whether the store refused a request, rather than leaving it unanswered."""
    return "Server returned non-2xx status code" in str(problem.__cause__)
