"""Which template a project's answers lead to: only one that somebody vouches for."""

import os
import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rung import cache, git, project, source, template, vouched
from rung.errors import RungError
from rung.source import RELEASE, Source

NETWORK = "file:git:http:https:ssh"  # protocols by which a template may come


def recorded(said: Mapping[str, Any], trusted: str | None = None) -> Source:
    """Return the template at the version the project has, if it is one that may be followed.

    A project can come from anywhere, and so can the address in it: only Rung's own template, and
    one that was named by `--template` once, is read.

    Args:
        said: The answers file.
        trusted: A template that the person vouches for: a path or a URL.

    Raises:
        RungError: Nobody vouches for it, or it is not there.
    """
    address, ref = said["_src_path"], said["_commit"]
    allowed = {template.url(), *vouched.remembered()}
    if clone := template.clone():
        allowed.add(str(clone))
    named = trusted and (str(Path(trusted).resolve()) if Path(trusted).exists() else trusted)
    if named and same(named) == same(address) and same(address) not in map(same, allowed):
        vouched.remember(address)
        allowed.add(address)
    if "://" not in address and not address.startswith("git@"):
        if not Path(address).is_absolute():
            raise RungError(
                f"The project names its template by `{address}`, a relative path.\n"
                f"Write an absolute path or a URL for `_src_path` in {project.ANSWERS}, and commit."
            )
        if not (Path(address) / ".git").exists():
            raise RungError(
                f"The project's template {address} is not there any more.\n"
                f"Write where it is now for `_src_path` in {project.ANSWERS}, and commit."
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
        raise RungError(f"`{version}` is no version of a template. Give a tag or a commit.")
    if cache.is_ours(address) and version == template.tag() and template.clone() is None:
        cache.fill(template.folder(), version)
    repository = cache.repository() if cache.serves(address, version) else Path(address)
    found = Source(address, version, repository if repository.is_dir() else None)
    if found.repository is not None and found.commit() is None:
        raise RungError(
            f"The template {address} has no version `{version}`.\n"
            f"`git -C {repository} tag` lists those it has."
        )
    return found


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
    words = ("ls-remote", "--tags", "--refs", "--sort=-version:refname", "--", address)
    # Away from the project, whose configuration would say how the server is reached.
    with tempfile.TemporaryDirectory(prefix="rung-") as away:
        protocols = os.environ.get("GIT_ALLOW_PROTOCOL", NETWORK)
        extra = {"GIT_CEILING_DIRECTORIES": str(Path(away).parent), "GIT_ALLOW_PROTOCOL": protocols}
        said = git.run(Path(away), *words, extra=extra)
    return [line.rpartition("refs/tags/")[2] for line in said.splitlines()]
