"""What ops/store.toml says: where the raw data is, and which part of it the project takes."""

import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from rung_ops.data.object_store.errors import StoreError
from rung_ops.project import current
from rung_ops.project.paths import shown


def settings_file() -> Path:
    """Return the path of ops/store.toml."""
    return current().root / "ops/store.toml"


@dataclass(frozen=True)
class Settings:
    """Where the raw data is, and what of it is taken.

    Attributes:
        endpoint: address of an S3-compatible store; empty for AWS.
        bucket: its name.
        prefix: what all keys of raw files begin with, without slashes at its ends.
        files: patterns of keys below the prefix; `*` stands for folders, too.
        columns: of each table; all where there are none.
        rows: an SQL condition on the columns; all rows where it is empty.
    """

    endpoint: str
    bucket: str
    prefix: str
    files: tuple[str, ...] = ("*",)
    columns: tuple[str, ...] = ()
    rows: str = ""

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


def read(path: Path | None = None) -> Settings:
    """Read ops/store.toml.

    Raises:
        StoreError: it is missing, or something in it is.
    """
    path = path or settings_file()
    try:
        text = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise StoreError(f"{shown(path)}: cannot be read ({error}). Fix it.") from error
    store, take = text.get("store", {}), text.get("take", {})
    settings = Settings(
        endpoint=_words(path, store, "endpoint", ""),
        bucket=_words(path, store, "bucket", ""),
        prefix=_words(path, store, "prefix", "").strip("/"),
        files=_list(path, take, "files", ["*"]),
        columns=_list(path, take, "columns", []),
        rows=_words(path, take, "rows", ""),
    )
    if not settings.bucket:
        raise StoreError(f"{shown(path)}: `bucket` is missing under [store]. Name the bucket.")
    return settings


def _words(path: Path, table: dict[str, object], name: str, default: str) -> str:
    value = table.get(name, default)
    if not isinstance(value, str):
        raise StoreError(f"{shown(path)}: `{name}` is {value!r}; it must be a text in quotes.")
    return value.strip()


def _list(path: Path, table: dict[str, object], name: str, default: list[str]) -> tuple[str, ...]:
    value = table.get(name, default)
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise StoreError(f"{shown(path)}: `{name}` is {value!r}; it must be a list of texts.")
    return tuple(value)
