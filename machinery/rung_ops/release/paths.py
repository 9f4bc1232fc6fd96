"""Where releases lie, and who changes them."""

import getpass
import os
from pathlib import Path

from rung_ops.project.paths import REPOSITORY, placed

STAGING = "staging"
PRODUCTION = "production"
ENVIRONMENTS = (STAGING, PRODUCTION)


def releases() -> Path:
    """Find the folder of candidates and environments: what RELEASES says, or releases/."""
    return placed("RELEASES", "releases")


def environment(name: str) -> Path:
    """Find the folder of an environment."""
    return releases() / name


def candidates() -> Path:
    """Find the folder of the bundles that are ready to be deployed."""
    return releases() / "candidates"


def bundle(folder: Path, release: str) -> Path:
    """Find the bundle of a release in the folder of an environment."""
    return folder / "bundles" / release


def public_key() -> Path:
    """Find the key that releases are verified with: what RELEASE_KEY says, or release.pub.

    One pair of keys does for all models of a repository, as one CI signs them.
    """
    return Path(os.environ.get("RELEASE_KEY") or REPOSITORY / "release.pub")


def person() -> str:
    """Name who types, or who made CI type."""
    named = ("GITHUB_ACTOR", "GITLAB_USER_LOGIN", "BUILD_REQUESTEDFOR")
    known = next((os.environ[name] for name in named if os.environ.get(name)), None)
    try:
        return known or getpass.getuser()
    except (KeyError, OSError):  # a container's user has no name
        return f"user {os.getuid()}"
