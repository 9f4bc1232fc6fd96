"""Folders that machines share, or the bucket they are in: releases and logs; and who changes them."""

import getpass
import os
import re
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


def bucket_address(variable: str, name: str) -> str:
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


STAGING = "staging"
PRODUCTION = "production"
ENVIRONMENTS = (STAGING, PRODUCTION)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def releases() -> Path:
    """Return the folder of candidates and environments: $RELEASES, or releases/; see share()."""
    return share("RELEASES", "releases")


def address(folder: Path) -> str:
    """Return the address of an environment in the bucket of $RELEASES; empty where it is a folder."""
    found = bucket_address("RELEASES", folder.name)
    return found if found and folder.parent == releases() else ""


def environment(name: str) -> Path:
    """Return the folder of an environment; refuse a path, which may lead to another one."""
    if not NAME.fullmatch(name):
        raise SettingsError(
            f"{name!r} is no name of an environment: write one of {', '.join(ENVIRONMENTS)}."
        )
    return releases() / name


def candidates() -> Path:
    """Return the folder of the bundles that are ready to be deployed."""
    return releases() / "candidates"


def bundle(folder: Path, release: str) -> Path:
    """Return the path of a release's bundle in the folder of an environment."""
    return folder / "bundles" / release


def verdicts(folder: Path) -> Path:
    """Return the path of the verdicts of the gate that an environment keeps."""
    return folder / "verdicts"


def public_key() -> Path:
    """Return the path of the key that verifies releases: $RELEASE_KEY, or release.pub.

    All models of a repository share one key pair, because one CI signs them.
    """
    return Path(os.environ.get("RELEASE_KEY") or current().repository / "release.pub")


ACTOR = "RUNG_ACTOR"  # variable that the autopilot sets for what it runs
AUTOPILOT = "autopilot"


def person() -> str:
    """Return the name of the person who runs the command, or who started the CI job, or AUTOPILOT."""
    variables = (ACTOR, "GITHUB_ACTOR", "GITLAB_USER_LOGIN", "BUILD_REQUESTEDFOR")
    ci_user = next((os.environ[name] for name in variables if os.environ.get(name)), None)
    try:
        return ci_user or getpass.getuser()
    except (KeyError, OSError, ImportError):  # the user of a container may have no name
        return f"user {os.getuid()}" if hasattr(os, "getuid") else "a user without a name"
