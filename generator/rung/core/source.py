"""Where a new project's template comes from, and which version of it."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rung.core import cache
from rung.errors import RungError
from rung.levels import template
from rung.system import git, plain_yaml
from rung.system.git import refuse_unreadable

RELEASE = re.compile(r"v?\d+(\.\d+)*\Z")


@dataclass(frozen=True)
class Source:
    """A template that can be rendered and, later, updated from.

    Args:
        address: An absolute path or a URL; a project records it.
        ref: The tag or commit to render.
        repository: A git repository on this machine that holds the ref, if there is one.
        note: What the person should know about the choice, or nothing.
    """

    address: str
    ref: str
    repository: Path | None
    note: str = ""

    def read(self, path: str) -> Any:
        """Return a YAML file of the template, as it is in this version."""
        if self.repository is None:
            return plain_yaml.load((template.folder() / path).read_text("utf-8"))
        if path not in self._texts:
            text = git.show(self.repository, self.ref, path)
            if text is None:
                raise RungError(
                    f"{self.address} at {self.ref} is not a Rung template: {path} is missing."
                )
            self._texts[path] = text
        return plain_yaml.load(self._texts[path])

    @cached_property
    def _texts(self) -> dict[str, str]:
        return {}

    def commit(self) -> str | None:
        """Return the full id of the commit that the ref names, or None when it is not here."""
        return self._commit

    @cached_property
    def _commit(self) -> str | None:
        if self.repository is None:
            return None
        inside = self.repository / ".git"
        named = {"GIT_DIR": str(inside if inside.exists() else self.repository)}
        wanted = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{self.ref}^{{commit}}")
        output = git.answers(self.repository, *wanted, extra=named)
        return output.splitlines()[-1] if output else None


def choose(wanted: str | None, version: str | None) -> Source:
    """Return the template to use: the requested one, the clone Rung runs from, or its own copy."""
    git.require()
    if wanted and not Path(wanted).exists():
        if "://" not in wanted and not wanted.startswith("git@"):
            raise RungError(
                f"There is no template at {wanted}: neither a folder nor a URL.\n"
                "Give `--template` the path or the URL of a git repository."
            )
        return Source(wanted, version or template.tag(), None)
    clone = Path(wanted).resolve() if wanted else template.clone()
    if clone:
        return _of_clone(clone, version)
    tag = template.tag()
    repository = cache.fill(template.folder(), tag)
    ref = version or tag
    return Source(template.url(), ref, repository if cache.holds(ref) else None)


def by_default() -> str:
    """Return the version and the address of the template that a new project is made from."""
    clone = template.clone()
    if clone is None:
        return f"{template.tag()[1:]} ({template.url()})"
    try:
        git.require()
        chosen = _of_clone(clone, None)
    except RungError as error:
        return f"unknown ({clone}): {str(error).splitlines()[0]}"
    return f"{chosen.ref.removeprefix('v')} ({chosen.address})"


def _of_clone(repository: Path, version: str | None) -> Source:
    if not (repository / ".git").exists():
        raise RungError(
            f"The template {repository} is not a git repository, so a project made from it could "
            "never be updated.\nGive `--template` the path or the URL of a git repository."
        )
    refuse_unreadable(repository)
    head = git.answers(repository, "rev-parse", "--verify", "--quiet", "HEAD")
    if head is None:
        raise RungError(f"The template {repository} has no commit yet. Commit it, then try again.")
    if version:
        known = git.answers(repository, "rev-parse", "--verify", "--quiet", f"{version}^{{commit}}")
        if known is None or version.startswith("-"):
            raise RungError(
                f"The template {repository} has no version `{version}`.\n"
                f"`git -C {repository} tag` lists those it has."
            )
        return Source(str(repository), version, repository)
    tags = git.run(repository, "tag", "--sort=-version:refname").split()
    release = next((tag for tag in tags if RELEASE.match(tag)), None)
    if release:
        return Source(str(repository), release, repository)
    dirty = git.run(repository, "status", "--porcelain", "--ignore-submodules=dirty")
    return Source(
        str(repository),
        head,
        repository,
        "It has uncommitted changes, which are left out; commit them to have them in the project."
        if dirty
        else "",
    )
