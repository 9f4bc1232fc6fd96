"""What the team set for the service under [service] in ops/service.toml."""

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from rung_ops.project.paths import policy_file

FILE = policy_file("service.toml")

Kind = TypeVar("Kind")
Positive = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
Whole = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]


class BadSettings(Exception):
    """service.toml cannot be used; the message says where and why."""


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the service takes in and bears.

    Attributes:
        strict: refuse a row with a field that the contract does not know, instead of passing it
            over.
        max_body_mb: a larger body, in MB, is refused.
        max_bodies_mb: while bodies that came in part take more than this, in MB, the oldest of them
            is refused.
        max_connections: with more of them, one that does nothing is closed.
        head_seconds, body_seconds: a request whose headers, or whose body, take longer is ended.
        max_rows: more rows in one request are refused.
        max_waiting_rows: while so many rows wait to be scored, further requests are refused.
        max_wait_ms: a request that would have to wait longer, as estimated, is refused.
        inline_ms: a batch that takes longer, as estimated, is scored in a thread.
        max_load_seconds: a release that takes longer to load is refused.
        max_row_ms: a release that takes longer for one row is refused.
        poll_seconds: how often the service looks for another release.
        drain_seconds: how long it goes on answering after the signal to stop, while it says that
            it is no longer ready.
    """

    strict: bool = False
    max_body_mb: Positive = 16.0
    max_bodies_mb: Positive = 128.0
    max_connections: Whole = 1_000
    head_seconds: Positive = 10.0
    body_seconds: Positive = 30.0
    max_rows: Whole = 100_000
    max_waiting_rows: Whole = 2_000
    max_wait_ms: Positive = 200.0
    inline_ms: Annotated[float, msgspec.Meta(ge=0, le=1000)] = 2.0
    max_load_seconds: Positive = 30.0
    max_row_ms: Positive = 50.0
    poll_seconds: Positive = 0.25
    drain_seconds: Annotated[float, msgspec.Meta(ge=0, le=600)] = 1.0

    @property
    def max_body(self) -> int:
        """Bytes of the largest body."""
        return int(self.max_body_mb * 1_000_000)

    @property
    def max_bodies(self) -> int:
        """Bytes of all bodies that came in part; enough for the largest one."""
        return max(int(self.max_bodies_mb * 1_000_000), self.max_body)


class ReasonSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When predictions are answered with reasons, and with how many.

    Attributes:
        always: each is, whether the request asks for them or not.
        count: the most of a row.
        max_rows: more rows in one request that gets reasons are refused.
    """

    always: bool = False
    count: Annotated[int, msgspec.Meta(ge=1, le=100)] = 4
    max_rows: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100


ANY_SPEED = Limits(max_row_ms=1e9)  # no limit on the time for a row
WHERE_ASKED = ReasonSettings()


def limits(path: Path = FILE) -> Limits:
    """Read [service] of ops/service.toml; what it leaves out has its default.

    Raises:
        BadSettings: it is not valid TOML, or has an unknown name or a wrong value.
    """
    return converted(table(path, "service"), Limits, f"{path.name}: [service]")


def reason_settings(path: Path = FILE) -> ReasonSettings:
    """Read [reasons] of ops/service.toml; what it leaves out has its default.

    Raises:
        BadSettings: it is not valid TOML, or has an unknown name or a wrong value.
    """
    return converted(table(path, "reasons"), ReasonSettings, f"{path.name}: [reasons]")


def table(path: Path, name: str) -> dict[str, Any]:
    """Read one table of a TOML file; empty if the file or the table is missing.

    Raises:
        BadSettings: the file is not valid TOML, or the name is not a table.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get(name, {})
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSettings(f"{path.name} is not valid TOML: {error}") from error
    if not isinstance(table, dict):
        raise BadSettings(f"{path.name}: `{name}` is not a table")
    return table


def environment_name() -> str:
    """Name the environment that this process serves: SERVICE_ENVIRONMENT, or production."""
    return os.environ.get("SERVICE_ENVIRONMENT") or "production"


def converted(value: object, kind: type[Kind], where: str) -> Kind:
    """Check what a file holds against what it may hold.

    Raises:
        BadSettings: it holds something else; the message begins with where.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        text = str(error)
        raise BadSettings(f"{where} {text[:1].lower()}{text[1:]}") from error
