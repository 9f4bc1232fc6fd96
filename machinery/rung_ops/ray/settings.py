"""The settings of ops/ray.toml: the address of Ray, and its resources."""

import os
from pathlib import Path
from typing import Annotated, Any

import msgspec

from rung_ops import settings as files
from rung_ops.project.paths import policy_file

Number = Annotated[float, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]


def settings_file() -> Path:
    """Return the path of ops/ray.toml."""
    return policy_file("ray.toml")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The values of ops/ray.toml, whose tables are headings only."""

    address: str = ""  # of a cluster; empty for Ray on this machine
    wait_seconds: Annotated[float, msgspec.Meta(ge=1)] = 30  # time for a cluster to answer
    workers: Positive = 2  # processes
    cpus: Number = 1  # of each worker
    memory_mb: Count = 400  # free memory that a worker needs, in units of 2**20 bytes
    retries: Count = 3  # how often work is retried after its worker or machine was lost
    rows: Positive = 20_000  # scored at a time
    together: Positive = 4  # trials in a round of a search
    storage: str = ""  # path or URL of a folder that all machines of a cluster reach


def settings() -> Settings:
    """Read ops/ray.toml; the variable RAY_ADDRESS overrides its address."""
    values: dict[str, Any] = {}
    for name, value in files.toml(settings_file()).items():
        values |= value if isinstance(value, dict) else {name: value}
    if os.environ.get("RAY_ADDRESS"):
        values["address"] = os.environ["RAY_ADDRESS"]
    return files.converted(values, Settings, "ray.toml:")
