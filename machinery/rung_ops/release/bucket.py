"""An environment in a bucket: one object that holds its history, and the files of its releases.

The last change in the history is the state, so one conditional write changes both (decision 70).
"""

import functools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import obstore
from obstore import exceptions
from obstore.store import ObjectStore, from_url

from rung_ops.errors import OpsError
from rung_ops.model import verification
from rung_ops.model.bundle import MANIFEST, MAX_BYTES, MAX_FILES, SIGNATURE, BundleError
from rung_ops.system import atomic, locks
from rung_ops.system.files import md5, stamp

HISTORY = "history.jsonl"
PART = 8 * 1024**2  # bytes of one request, which ends within TIMEOUT; S3 takes no parts below 5 MiB
TIMEOUT = "15s"
TRIES = 3  # to read a part
KNOWN = {
    "AccessDenied": "these credentials may not do that",
    "ExpiredToken": "the credentials have expired",
    "InvalidAccessKeyId": "the store does not know this access key",
    "NoSuchBucket": "there is no such bucket",
    "SignatureDoesNotMatch": "the secret key does not belong to the access key",
}
Version = (
    dict[str, Any] | None
)  # what obstore replaces conditionally; None where there is no object


class BucketError(OpsError, OSError):
    """The bucket cannot be used: unreachable like a folder on a share, so also an OSError."""


class SupersededError(Exception):
    """The history was replaced while a release of its state was being read."""


class Bucket:
    """The objects of one environment.

    Args:
        address: such as `s3://bucket/prefix/production`.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        with _in_words(address):
            self._store = _store(address)

    def history(self, known: str = "") -> tuple[bytes, Version] | None:
        """Read the history and its version; None if it has the known ETag, empty if there is none."""
        with _in_words(self.address):
            try:
                found = obstore.get(
                    self._store, HISTORY, options={"if_none_match": known} if known else None
                )
                version = {name: found.meta[name] for name in ("e_tag", "version")}
                return bytes(found.bytes()), {k: v for k, v in version.items() if v is not None}
            except exceptions.NotModifiedError:
                return None
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise
                return b"", None

    def replace_history(self, content: bytes, version: Version) -> bool:
        """Replace this version of the history; return whether it was still the one in the bucket."""
        with _in_words(self.address):
            try:
                mode: Any = version or "create"
                obstore.put(self._store, HISTORY, content, mode=mode, use_multipart=False)
            except (exceptions.PreconditionError, exceptions.AlreadyExistsError):
                return False
        return True

    def upload(self, bundle: Path) -> None:
        """Bring a release to the bucket, its signature last; files that are there are left alone."""
        paths = sorted(path for path in bundle.rglob("*") if path.is_file())
        paths.sort(key=lambda path: path.name in (MANIFEST, SIGNATURE))
        with _in_words(self.address):
            there = {found["path"]: found["e_tag"] for found in self._files(bundle.name)}
            for path in paths:
                key = f"{_folder(bundle.name)}{path.relative_to(bundle).as_posix()}"
                if (there.get(key) or "").strip('"') != md5(path):
                    obstore.put(self._store, key, path, chunk_size=PART, max_concurrency=1)

    def take_up(self, bundle: Path, version: Version = None) -> None:
        """Download and verify a release, unless it is there; its folder appears complete or not at all.

        Args:
            bundle: the folder of the release.
            version: of the history that names it, if its download is to end when that is replaced.

        Raises:
            BucketError: it cannot be read.
            BundleError: it is not in the bucket, or its files are not those that were signed.
            SupersededError: the history was replaced.
        """
        if _is_sound(bundle):
            return
        with atomic.draft_folder(bundle.parent) as draft:
            made = draft / bundle.name
            self._download(bundle.name, made, version)
            verification.verify(made, verification.public_key())
            atomic.sync_tree(made)
            with locks.locked(bundle.parent):
                if _is_sound(bundle):  # another process was faster
                    return
                if bundle.exists():
                    bundle.rename(draft / "replaced")
                made.rename(bundle)

    def _download(self, release: str, folder: Path, version: Version) -> None:
        with _in_words(self.address):
            found = self._files(release)
            if not found or len(found) > MAX_FILES or sum(f["size"] for f in found) > MAX_BYTES:
                raise BundleError(f"{self.address}/{_folder(release)} has no release")
            for stored in found:
                path = folder / stored["path"].removeprefix(_folder(release))
                if not path.resolve().is_relative_to(folder.resolve()):
                    raise BundleError(f"{self.address}: {stored['path']!r} leads elsewhere")
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as written:
                    for start in range(0, stored["size"], PART):
                        end = min(start + PART, stored["size"])
                        written.write(self._part(stored["path"], start, end, version))

    def _part(self, key: str, start: int, end: int, version: Version) -> Any:
        left = TRIES
        while True:
            if version and (found := self.history(version.get("e_tag", ""))):
                if found[1] != version:  # a store may send an unchanged one, too
                    raise SupersededError
            try:
                return obstore.get_range(self._store, key, start=start, end=end)
            except exceptions.GenericError:  # such as a line that broke
                left -= 1
                if not left:
                    raise

    def _files(self, release: str) -> list[Any]:
        pages = obstore.list(self._store, prefix=_folder(release))
        return [stored for page in pages for stored in page]


def _is_sound(bundle: Path) -> bool:
    """Return whether a release is there and verified; files that did not change are not read again."""
    files = sorted(path for path in bundle.rglob("*") if path.is_file())
    return bool(files) and _verifies(bundle, tuple(map(stamp, files)), verification.public_key())


@functools.lru_cache(maxsize=64)
def _verifies(bundle: Path, stamps: tuple[tuple[int, int, int], ...], key: bytes) -> bool:
    try:
        verification.verify(bundle, key)
    except BundleError:
        return False
    return True


def _folder(release: str) -> str:
    return f"bundles/{release}/"


@functools.lru_cache(maxsize=8)  # with its connections
def _store(address: str) -> ObjectStore:
    """Make a client; the credentials and AWS_ENDPOINT_URL are those of the environment."""
    is_plain = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
    return from_url(
        address,
        client_options={"allow_http": is_plain, "timeout": TIMEOUT, "connect_timeout": "3s"},
        retry_config={"max_retries": 0},  # who waits for it tries again
    )


@contextmanager
def _in_words(address: str) -> Iterator[None]:
    try:
        yield
    except BucketError:
        raise
    except (exceptions.BaseError, FileNotFoundError, ValueError) as error:
        raise BucketError(f"{address}: {_reason(str(error))}.") from error


def _reason(text: str) -> str:
    """Say what happened, without the milliseconds and the nested errors that obstore adds."""
    if code := re.search(r"<Code>(\w+)</Code>", text):
        return f"{KNOWN.get(code[1], 'the store refuses it')} ({code[1]})"
    last = text.splitlines()[0].rpartition(" - ")[2]
    return "nothing answers there" if "error sending request" in last else last[:200].rstrip(". ")
