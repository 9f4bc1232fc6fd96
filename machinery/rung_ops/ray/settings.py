"""The settings of ops/ray.toml: the address of Ray, and its resources."""

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rung_ops.project.paths import policy_file


def settings_file() -> Path:
    """Return the path of ops/ray.toml."""
    return policy_file("ray.toml")


MINIMUM: dict[str, int] = {
    "wait_seconds": 1,
    "workers": 1,
    "cpus": 0,
    "memory_mb": 0,
    "retries": 0,
    "rows": 1,
    "together": 1,
}

KINDS: dict[type, tuple[str, Any]] = {
    str: ("a text", str),
    int: ("a whole number", int),
    float: ("a number", (int, float)),
}


class InvalidSettings(Exception):
    """A setting of ops/ray.toml is invalid; the message says which."""


@dataclass(frozen=True)
class Settings:
    """The values of ops/ray.toml.

    Attributes:
        address: of a cluster; empty for Ray on this machine.
        wait_seconds: time for a cluster to answer.
        workers: number of worker processes.
        cpus: of each worker.
        memory_mb: free memory that a worker needs, in units of 2**20 bytes.
        retries: how often work is retried after its worker or machine was lost.
        rows: number of rows scored at a time.
        together: trials in a round of a search.
    """

    address: str = ""
    wait_seconds: float = 30
    workers: int = 2
    cpus: float = 1
    memory_mb: int = 400
    retries: int = 3
    rows: int = 20_000
    together: int = 4


def settings() -> Settings:
    """Read ops/ray.toml; the variable RAY_ADDRESS overrides its address.

    Raises:
        InvalidSettings: the file is not TOML, or has an unknown name or an invalid value.
    """
    try:
        tables = (
            tomllib.loads(settings_file().read_text(encoding="utf-8"))
            if settings_file().exists()
            else {}
        )
    except tomllib.TOMLDecodeError as error:
        raise InvalidSettings(f"ops/ray.toml is not TOML: {error}") from error
    values: dict[str, Any] = {}
    for table in tables.values():
        values |= table if isinstance(table, dict) else {}
    known: dict[str, Any] = Settings.__dataclass_fields__
    for name, value in values.items():
        if name not in known:
            raise InvalidSettings(f"ray.toml: unknown key `{name}`; expected {', '.join(known)}")
        kind, types = KINDS[known[name].type]
        if not isinstance(value, types) or isinstance(value, bool):
            raise InvalidSettings(f"ray.toml: `{name}`: got {value!r}; expected {kind}")
        if name in MINIMUM and value < MINIMUM[name]:
            raise InvalidSettings(
                f"ray.toml: `{name}`: got {value}; expected {MINIMUM[name]} or more"
            )
    if os.environ.get("RAY_ADDRESS"):
        values["address"] = os.environ["RAY_ADDRESS"]
    return Settings(**values)
