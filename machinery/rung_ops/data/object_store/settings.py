"""What ops/store.toml says: where the raw data is, and which part of it the project takes."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from rung_ops import settings
from rung_ops.errors import SettingsError
from rung_ops.project import current
from rung_ops.project.paths import shown


class _Store(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    endpoint: str = ""
    bucket: str = ""
    prefix: str = ""


class _Take(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    files: tuple[str, ...] = ("*",)
    columns: tuple[str, ...] = ()
    rows: str = ""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    store: _Store = _Store()
    take: _Take = _Take()


@dataclass(frozen=True)
class Settings:
    """Where the raw data is, and what of it is taken."""

    endpoint: str  # address of an S3-compatible store; empty for AWS
    bucket: str
    prefix: str  # what all keys of raw files begin with, without slashes at its ends
    # Patterns of keys below the prefix; `*` stands for folders, too.
    files: tuple[str, ...] = ("*",)
    columns: tuple[str, ...] = ()  # of each table; all where there are none
    rows: str = ""  # an SQL condition on the columns; all rows where it is empty

    @property
    def root(self) -> str:
        """What every key of a raw file begins with."""
        return f"{self.prefix}/" if self.prefix else ""

    @property
    def part(self) -> str:
        """Say which part of each table is taken; empty if it is all of it."""
        parts = [f"columns {', '.join(self.columns)}"] if self.columns else []
        return "; ".join(parts + ([f"rows {self.rows}"] if self.rows else []))

    def location(self, key: str | None = None) -> str:
        """Name the place of the raw data, or an object, with its store."""
        url = f"s3://{self.bucket}/{self.root if key is None else key}"
        return f"{url} at {self.endpoint or 'AWS'}"

    def takes(self, name: str) -> bool:
        """Tell whether an object is selected, by its key below the prefix."""
        return any(fnmatchcase(name, pattern) for pattern in self.files)


def settings_file() -> Path:
    """Return the path of ops/store.toml."""
    return current().root / "ops/store.toml"


def read(path: Path | None = None) -> Settings:
    """Read ops/store.toml."""
    path = path or settings_file()
    file = settings.read(path, _File)
    if not file.store.bucket.strip():
        raise SettingsError(f"{shown(path)}: `bucket` is missing under [store]. Name the bucket.")
    return Settings(
        endpoint=file.store.endpoint.strip(),
        bucket=file.store.bucket.strip(),
        prefix=file.store.prefix.strip().strip("/"),
        files=file.take.files,
        columns=file.take.columns,
        rows=file.take.rows.strip(),
    )
