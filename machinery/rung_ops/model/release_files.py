"""The files of a release, each read as it was signed.

Whoever can write to the folder of releases may replace a file between its verification and its use.
So nothing of a verified release is used by its path: read() and copy() hash the very bytes that they
give.
"""

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from rung_ops.model.bundle import MAX_BYTES, MAX_JSON_BYTES, BadBundle, parse_json
from rung_ops.system.files import read_regular


class ReleaseFiles:
    """The files of a folder: those of a verified release, or of one that is still being made.

    Attributes:
        folder: where they lie.
        is_verified: they are checked each time that they are read.
    """

    def __init__(self, folder: Path, hashes: Mapping[str, str] | None = None) -> None:
        """Describe the files of a folder.

        Args:
            folder: of the release.
            hashes: SHA-256 of each signed file by its path in the folder; None if nothing was
                signed.
        """
        self.folder = folder
        self.is_verified = hashes is not None
        self._hashes = hashes or {}

    @classmethod
    def of(cls, release: "Path | ReleaseFiles") -> "ReleaseFiles":
        """Return the files of a release; those of a folder are not verified."""
        return release if isinstance(release, ReleaseFiles) else cls(release)

    @property
    def name(self) -> str:
        """The name of the folder, which is the id of a release."""
        return self.folder.name

    def __contains__(self, path: str) -> bool:
        """Return whether the release has a file."""
        return path in self._hashes if self.is_verified else (self.folder / path).is_file()

    def read(self, path: str, limit: int = MAX_BYTES) -> bytes:
        """Read a file.

        Args:
            path: in the folder, with slashes.
            limit: a larger file, in bytes, is refused.

        Raises:
            BadBundle: it is missing, too large, not a regular file, or not what was signed.
        """
        name = f"{self.folder.name}/{path}"
        try:
            content = read_regular(self.folder / path, limit)
        except FileNotFoundError:
            raise BadBundle(f"{name} is missing") from None
        except OSError as error:
            raise BadBundle(f"{name} cannot be read: {error}") from error
        if self.is_verified and hashlib.sha256(content).hexdigest() != self._hashes.get(path):
            raise BadBundle(f"{self.folder.name}: {path} was changed after it was signed")
        return content

    def json(self, path: str) -> dict[str, Any]:
        """Read the JSON object of a file of at most MAX_JSON_BYTES.

        Raises:
            BadBundle: see read(), or it is not a JSON object.
        """
        return parse_json(self.folder / path, self.read(path, MAX_JSON_BYTES))

    def below(self, prefix: str) -> list[str]:
        """List the files below a folder of the release, or the file of that name; sorted."""
        if self.is_verified:
            names = [path for path in self._hashes if path == prefix or _is_below(path, prefix)]
            return sorted(names)
        folder = self.folder / prefix
        paths = (
            [folder] if folder.is_file() else [each for each in folder.rglob("*") if each.is_file()]
        )
        return sorted(path.relative_to(self.folder).as_posix() for path in paths)

    def copy(self, prefix: str) -> "PrivateCopy":
        """Copy a file or a folder to a place that only this process uses.

        Raises:
            BadBundle: see read().
        """
        return PrivateCopy({path: self.read(path) for path in self.below(prefix)})


class PrivateCopy:
    """Files in a temporary folder, which is removed with the last reference to this object.

    Attributes:
        folder: readable by this user only.
    """

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        """Write files.

        Args:
            contents: of each file by its path, with slashes.
        """
        # Its finalizer removes the folder, at the latest when the process ends.
        self._temporary = tempfile.TemporaryDirectory(prefix="release-", ignore_cleanup_errors=True)
        self.folder = Path(self._temporary.name)
        for path, content in contents.items():
            file = self.folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)


def _is_below(path: str, prefix: str) -> bool:
    return PurePosixPath(prefix) in PurePosixPath(path).parents
