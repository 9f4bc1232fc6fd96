"""What a release is: a folder of files, a manifest of their hashes, and one name."""

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any

SCHEMA = 1  # of the manifest; a reader that knows another one refuses

MANIFEST = "manifest.json"
SIGNATURE = "model.sig"
CONTRACT = "contract.json"
SOURCE = "src"
METRICS = "metrics.json"
SLICES = "slices.json"
COMPARISON = "comparison.json"
CARD = "card.md"
REFERENCE = "reference.parquet"
PARITY = "parity.parquet"

# The model, in one of four formats. ONNX: one input [None, 1] for each feature, by its name,
# of type float, double or string; the first output is the answer: [None, 2] with the probability
# of the positive class last, or [None, 1] with the value.
ONNX = "model.onnx"
# LightGBM's own text, fed with the columns that the encoder describes.
LIGHTGBM = "model.txt"
ENCODER = "encoder.json"
# The estimator itself, fed with the frame of features. Types beyond those that skops trusts are
# loaded only if TRUSTED in src/<package>/model.py lists them.
SKOPS = "model.skops"
# What save() of src/<package>/model.py wrote, a file or a folder; its load() reads it.
CUSTOM = "model.custom"

# What stands for a missing text in ONNX, whose texts are never missing: a private character, so
# that no real value is taken for it.
MISSING_TEXT = "\ue000"

MOST_FILES = 2_000
MOST_BYTES = 4 * 1024**3
MOST_JSON_BYTES = 8 * 1024**2  # of manifest.json, contract.json and model.sig each

# What readers rely on in the manifest.
REQUIRED = {
    "id": str,
    "model": str,
    "version": str,
    "git_commit": str,
    "data_hash": str,
    "created": str,
    "package": str,
    "format": str,
    "task": str,
    "parity": dict,
    "files": dict,
}


class BadBundle(Exception):
    """A release folder that must not be used; the message says which, why and what to do."""


def release_id(version: str | int, commit: str, data_hash: str) -> str:
    """Name a release by the version in the registry, the commit and the data."""
    return f"v{version}-{commit[:8]}-{data_hash[:6]}"


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read manifest.json as it stands there: verify() is what says that it can be believed.

    Raises:
        BadBundle: there is none, or it is none that this code knows.
    """
    return parse_manifest(folder, read_small(folder / MANIFEST))


def parse_manifest(folder: Path, content: bytes) -> dict[str, Any]:
    """Take manifest.json apart.

    Raises:
        BadBundle: it is no manifest that this code knows.
    """
    manifest = parse_json(folder / MANIFEST, content)
    if manifest.get("schema") != SCHEMA:
        raise BadBundle(
            f"{folder.name}/{MANIFEST}: schema {manifest.get('schema')!r}, and this code reads "
            f"{SCHEMA}. Release the version again with `uv run poe release`."
        )
    for name, kind in REQUIRED.items():
        if not isinstance(manifest.get(name), kind):
            raise BadBundle(f"{folder.name}/{MANIFEST}: `{name}` is missing or no {kind.__name__}")
    return manifest


def read_small(path: Path) -> bytes:
    """Read a file of which a few kilobytes are expected.

    Raises:
        BadBundle: it is missing, no regular file, or far too large.
    """
    try:
        # Neither follows a link nor waits for a pipe.
        with open(os.open(path, os.O_RDONLY | _O_NOFOLLOW | _O_NONBLOCK), "rb") as opened:
            if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                raise BadBundle(f"{path.parent.name}/{path.name} is no regular file")
            content = opened.read(MOST_JSON_BYTES + 1)
    except FileNotFoundError:
        raise BadBundle(f"{path.parent.name}/{path.name} is missing") from None
    except OSError as error:
        raise BadBundle(f"{path.parent.name}/{path.name} cannot be read: {error}") from error
    if len(content) > MOST_JSON_BYTES:
        raise BadBundle(f"{path.parent.name}/{path.name} is larger than {MOST_JSON_BYTES:,} bytes")
    return content


def parse_json(path: Path, content: bytes) -> dict[str, Any]:
    """Parse the JSON object of a file.

    Raises:
        BadBundle: it is no JSON object.
    """
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadBundle(f"{path.parent.name}/{path.name} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise BadBundle(f"{path.parent.name}/{path.name} holds no JSON object")
    return found


def files_of(folder: Path) -> dict[str, str]:
    """Hash every file of a release but the signature and the manifest, which stand for the rest.

    Returns:
        Path relative to the folder, with slashes, to SHA-256 in hexadecimal; sorted.

    Raises:
        BadBundle: it holds a link, something that is no regular file, or too much.
    """
    hashes = {path: digest(folder / path) for path in paths_of(folder)}
    return {path: hashes[path] for path in hashes if path not in (MANIFEST, SIGNATURE)}


def paths_of(folder: Path) -> list[str]:
    """List every file below a folder, relative to it and with slashes; sorted.

    Raises:
        BadBundle: it holds a link, something that is no regular file, or too much.
    """
    if folder.is_symlink() or not folder.is_dir():
        raise BadBundle(f"{folder.name} is no folder")
    found: list[str] = []
    total = 0
    folders = [""]
    while folders:
        place = folders.pop()
        with os.scandir(folder / place) as entries:
            for entry in entries:
                path = f"{place}/{entry.name}" if place else entry.name
                if entry.is_dir(follow_symlinks=False):
                    folders.append(path)
                elif entry.is_file(follow_symlinks=False):
                    found.append(path)
                    total += entry.stat(follow_symlinks=False).st_size
                else:
                    raise BadBundle(f"{folder.name}: {path} is a link or no regular file")
                if len(found) + len(folders) > MOST_FILES or total > MOST_BYTES:
                    raise BadBundle(
                        f"{folder.name} holds more than {MOST_FILES:,} files "
                        f"or {MOST_BYTES / 1024**3:.0f} GiB"
                    )
    return sorted(found)


def digest(path: Path) -> str:
    """Hash a file with SHA-256, in hexadecimal."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


_O_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)  # neither exists on Windows
_O_NONBLOCK = getattr(os, "O_NONBLOCK", 0)
