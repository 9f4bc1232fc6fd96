"""Folders that machines share: a variable names another folder, or a bucket of which each has a copy."""

import os
from pathlib import Path

from rung_ops.errors import SettingsError
from rung_ops.project import active_addons, current
from rung_ops.project.paths import placed

SCHEMES = ("s3", "gs", "az")  # of buckets
# Why an add-on that guards the service takes no bucket, by the variable.
WHY_NOT = {
    "RELEASES": "which signs the state",
    "LOGS": "whose erasure and retention do not reach a bucket",
}


def share(variable: str, name: str) -> Path:
    """Return the folder that a variable names, or the project's of this name.

    Where the variable is the address of a bucket, it is the copy of that, in `name` or $VARIABLE_CACHE.

    Raises:
        SettingsError: an add-on guards the service, and does not reach a bucket.
    """
    given = _bucket(variable)
    if not given:
        return placed(variable, name)
    if guards := [name for name, addon in active_addons.active().items() if addon.guard]:
        raise SettingsError(
            f"{variable}={given}: a bucket is not supported with the add-on {guards[0]} yet, "
            f"{WHY_NOT[variable]}: use a folder."
        )
    return placed(f"{variable}_CACHE", name) / given.replace("://", "/")


def address(variable: str, name: str) -> str:
    """Return the address of a folder in the bucket that a variable names; empty where it names none."""
    given = _bucket(variable)
    model = current().root.relative_to(current().repository)
    return "/".join([given, *model.parts, name]) if given else ""


def _bucket(variable: str) -> str:
    given = os.environ.get(variable, "")
    scheme, is_address, _ = given.partition("://")
    if is_address and scheme not in SCHEMES:
        expected = ", ".join(f"{name}://" for name in SCHEMES)
        raise SettingsError(f"{variable}={given}: expected a folder, or one of {expected}.")
    return given.rstrip("/") if is_address else ""
