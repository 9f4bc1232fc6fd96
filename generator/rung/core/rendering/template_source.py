"""The template that a project follows: Rung's own, or one that the person named with `--template`.

Trusted templates stand in a file of the person's, never in a project, which can come from anywhere.
"""

import os
import shlex
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from platformdirs import user_config_path

from rung.core import cache, source
from rung.core.source import RELEASE, Source
from rung.errors import RungError
from rung.levels import template
from rung.levels.answers import ANSWERS
from rung.system import git

NETWORK = "file:git:http:https:ssh"  # protocols by which a template may come


def recorded(answers: Mapping[str, Any], trusted: str | None = None) -> Source:
    """Return the template at the version the project has, if it is one that may be followed.

    A project can come from anywhere, and so can the address in it: only Rung's own template, and
    one that was named by `--template` once, is read.

    Args:
        answers: The answers file.
        trusted: A template that the person trusts: a path or a URL.

    Raises:
        RungError: It is not trusted, or it is missing.
    """
    address, ref = answers["_src_path"], answers["_commit"]
    allowed = {template.url(), *remembered()}
    if clone := template.clone():
        allowed.add(str(clone))
    named = trusted and (str(Path(trusted).resolve()) if Path(trusted).exists() else trusted)
    if named and same(named) == same(address) and same(address) not in map(same, allowed):
        remember(address)
        allowed.add(address)
    if "://" not in address and not address.startswith("git@"):
        if not Path(address).is_absolute():
            raise RungError(
                f"The project names its template by `{address}`, a relative path.\n"
                f"Write an absolute path or a URL for `_src_path` in {ANSWERS}, and commit."
            )
        if not (Path(address) / ".git").exists():
            raise RungError(
                f"The project's template {address} is not there any more.\n"
                f"Write where it is now for `_src_path` in {ANSWERS}, and commit."
            )
    if same(address) not in {same(one) for one in allowed}:
        raise RungError(
            f"The project names a template that is not the one of this Rung: {address}\n"
            f"If you trust it, run the command again with `--template {shlex.quote(address)}`; "
            "Rung remembers it."
        )
    return at(address, ref)


def same(address: str) -> str:
    """Return an address in one spelling: a slash or `.git` at its end changes nothing."""
    return address.rstrip("/").removesuffix(".git").rstrip("/") or address


def at(address: str, version: str) -> Source:
    """Return a template that is followed at another version of it."""
    if version.startswith("-") or not version.isprintable() or not version:
        raise RungError(f"`{version}` is not a template version. Give a tag or a commit.")
    if cache.is_ours(address) and version == template.tag() and template.clone() is None:
        cache.fill(template.folder(), version)
    repository = cache.repository() if cache.serves(address, version) else Path(address)
    source = Source(address, version, repository if repository.is_dir() else None)
    if source.repository is not None and source.commit() is None:
        raise RungError(
            f"The template {address} has no version `{version}`.\n"
            f"`git -C {repository} tag` lists those it has."
        )
    return source


def newest(now: Source) -> Source:
    """Return the newest version of the template that a project follows."""
    if cache.is_ours(now.address) and template.clone() is None:
        return at(now.address, template.tag())
    if now.repository is not None:
        chosen = source.choose(str(now.repository), None)
        return Source(now.address, chosen.ref, now.repository, chosen.note)
    tags = _tags(now.address)
    release = next((tag for tag in tags if RELEASE.match(tag)), None)
    if release is None:
        raise RungError(
            f"The template {now.address} has no released version.\n"
            "Name a version of it with `--template-version`."
        )
    return at(now.address, release)


def _tags(address: str) -> list[str]:
    """Return the tags of a template elsewhere, the newest version first."""
    arguments = ("ls-remote", "--tags", "--refs", "--sort=-version:refname", "--", address)
    # Away from the project, whose configuration would say how the server is reached.
    with tempfile.TemporaryDirectory(prefix="rung-") as away:
        protocols = os.environ.get("GIT_ALLOW_PROTOCOL", NETWORK)
        extra = {"GIT_CEILING_DIRECTORIES": str(Path(away).parent), "GIT_ALLOW_PROTOCOL": protocols}
        output = git.run(Path(away), *arguments, extra=extra)
    return [line.rpartition("refs/tags/")[2] for line in output.splitlines()]


def trusted_file() -> Path:
    """Return the file of trusted templates: an address a line."""
    named = os.environ.get("RUNG_CONFIG_DIR")
    return Path(named or user_config_path("rung", appauthor=False)).absolute() / "templates.txt"


def remembered() -> list[str]:
    """Return the addresses; none if the file is another user's, or cannot be read."""
    path = trusted_file()
    try:
        if hasattr(os, "getuid") and path.stat().st_uid != os.getuid():
            return []
        return path.read_text("utf-8").split("\n")[:-1]
    except (OSError, UnicodeDecodeError):
        return []


def remember(address: str) -> None:
    """Trust a template from now on, and say so; report a file that cannot be written, too."""
    if address in remembered() or not address.isprintable():
        return
    path = trusted_file()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as kept:
            kept.write(f"{address}\n")
        path.chmod(0o600)
    except OSError as error:
        print(f"{path} cannot be written ({error.strerror}): name it again.", file=sys.stderr)
        return
    print(f"Trusted from now on, as {path} says: {address}", file=sys.stderr)
