"""The settings of ops/ray.toml: where Ray runs, and how much it may take."""

import os
import tomllib
from dataclasses import dataclass
from typing import Any

from rung_ops.project.paths import policy_file

FILE = policy_file("ray.toml")
LEAST: dict[str, int] = {"wait_seconds": 1, "workers": 1, "cpus": 0, "memory_mb": 0, "retries": 0}
LEAST |= {"rows": 1, "together": 1}

KINDS: dict[type, tuple[str, Any]] = {
    str: ("a text", str),
    int: ("a whole number", int),
    float: ("a number", (int, float)),
}


class InvalidSettings(Exception):
    """A setting of ops/ray.toml is invalid; the message says which."""


@dataclass(frozen=True)
class Settings:
    """The values of ops/ray.toml, by their names there.

    Attributes:
        address: of a cluster; empty for a Ray of this machine.
        wait_seconds: for a cluster to answer.
        workers: processes that work at the same time.
        cpus: of each of them.
        memory_mb: that must be free where one is started, in units of 2**20 bytes.
        retries: how often work is retried when its worker or its machine is lost.
        rows: scored at a time.
        together: trials that are asked for before their results are looked at.
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
    """Read ops/ray.toml; the variable RAY_ADDRESS wins over its address.

    Raises:
        InvalidSettings: the file is not TOML, or has an unknown name or an invalid value.
    """
    try:
        tables = tomllib.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    except tomllib.TOMLDecodeError as error:
        raise InvalidSettings(f"ops/ray.toml is not TOML: {error}") from error
    values: dict[str, Any] = {}
    for table in tables.values():
        values |= table if isinstance(table, dict) else {}
    known: dict[str, Any] = Settings.__dataclass_fields__
    for name, value in values.items():
        if name not in known:
            raise InvalidSettings(f"ray.toml: `{name}` is unknown; there are {', '.join(known)}")
        kind, fits = KINDS[known[name].type]
        if not isinstance(value, fits) or isinstance(value, bool):
            raise InvalidSettings(f"ray.toml: `{name}` is {value!r}; give {kind}")
        if name in LEAST and value < LEAST[name]:
            raise InvalidSettings(f"ray.toml: `{name}` is {value}; give {LEAST[name]} or more")
    if os.environ.get("RAY_ADDRESS"):
        values["address"] = os.environ["RAY_ADDRESS"]
    return Settings(**values)
