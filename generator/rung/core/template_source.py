"""Which template a project is made from or follows, at which version, and where it is read from.

It is Rung's own, or one that the user named (decision 3). An installed Rung keeps its own in a git
repository in its cache, to which git redirects the template's address without a network (decision 1).
"""

import os
import re
import shlex
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from platformdirs import user_config_path

from rung.core import cache
from rung.errors import RungError
from rung.levels import template
from rung.levels.template_answers import ANSWERS
from rung.system import git, plain_yaml
from rung.system.printable import printable

RELEASE = re.compile(r"v?\d+(\.\d+)*\Z")
GIVE_TEMPLATE = "Give `--template` the path or the URL of a git repository."
NETWORK = "file:git:http:https:ssh"  # protocols by which a template may come


@dataclass(frozen=True)
class Source:
    """A version of a template.

    `address` is an absolute path or a URL, which a project records; `repository` one on this machine that
    holds the ref, if any; `note` a sentence about the choice for the user.
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

    @cached_property
    def commit(self) -> str | None:
        """Return the full id of the commit that the ref names, or None if it is not on this machine."""
        if self.repository is None:
            return None
        wanted = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{self.ref}^{{commit}}")
        output = git.output(self.repository, *wanted, extra=git.named(self.repository))
        return output.splitlines()[-1] if output else None

    def git_settings(self) -> dict[str, str]:
        """Return git settings that redirect the template's address to the cache, if it is there."""
        if self.repository != _repository():
            return {}
        return {f"url.{_repository().as_uri()}.insteadOf": f"{normalized(self.address)}.git"}


# Choose the template of a new project.


def choose(wanted: str | None, version: str | None) -> Source:
    """Return the requested template, the clone Rung runs from, or the installed one.

    Of a clone, the newest release tag or else HEAD counts, never the work tree (decision 2).
    """
    git.require()
    if wanted and not Path(wanted).exists():
        if "://" not in wanted and not wanted.startswith("git@"):
            raise RungError(
                f"There is no template at {wanted}: neither a folder nor a URL.\n{GIVE_TEMPLATE}"
            )
        return Source(wanted, version or template.tag(), None)
    clone = Path(wanted).resolve() if wanted else template.clone()
    if clone:
        return _from_clone(clone, version)
    _keep_installed()
    ref = version or template.tag()
    return Source(template.url(), ref, _repository() if _is_kept(ref) else None)


def describe_default() -> str:
    """Return the version and the address of the template that a new project is made from."""
    clone = template.clone()
    if clone is None:
        return f"{template.tag()[1:]} ({template.url()})"
    try:
        git.require()
        chosen = _from_clone(clone, None)
    except RungError as error:
        return f"unknown ({clone}): {str(error).splitlines()[0]}"
    return f"{chosen.ref.removeprefix('v')} ({chosen.address})"


def _from_clone(repository: Path, version: str | None) -> Source:
    if not (repository / ".git").exists():
        raise RungError(
            f"The template {repository} is not a git repository, so a project made from it could "
            f"never be updated.\n{GIVE_TEMPLATE}"
        )
    git.refuse_unreadable(repository)
    head = git.revision(repository, "HEAD")
    if head is None:
        raise RungError(f"The template {repository} has no commit yet. Commit it, then try again.")
    if version:
        source = Source(str(repository), version, repository)
        if source.commit is None:
            raise _unknown_version(source)
        return source
    tags = git.run(repository, "tag", "--sort=-version:refname").split()
    if release := _newest_release(tags):
        return Source(str(repository), release, repository)
    dirty = git.run(repository, "status", "--porcelain", "--ignore-submodules=dirty")
    note = (
        "It has uncommitted changes, which are left out; commit them to have them in the project."
    )
    return Source(str(repository), head, repository, note if dirty else "")


# Follow the template of a project.


def followed(answers: Mapping[str, Any], named: str | None = None) -> Source:
    """Return the template at the version the project has, if it may be followed (decision 3).

    A project can come from anywhere, and so can the address in it: only Rung's own template, and one that
    the user named once with `--template`, is read.
    """
    address, ref = answers["_src_path"], answers["_commit"]
    allowed = {normalized(known) for known in (template.url(), *_trusted())}
    if clone := template.clone():
        allowed.add(normalized(str(clone)))
    wanted = named and normalized(str(Path(named).resolve()) if Path(named).exists() else named)
    if wanted == normalized(address) and wanted not in allowed:
        trust(address)
        allowed.add(wanted)
    if "://" not in address and not address.startswith("git@"):
        if not Path(address).is_absolute():
            raise RungError(
                f"The project names its template by `{printable(address)}`, a relative path.\n"
                f"Write an absolute path or a URL for `_src_path` in {ANSWERS}, and commit."
            )
        if not (Path(address) / ".git").exists():
            raise RungError(
                f"The project's template {printable(address)} no longer exists.\n"
                f"Write its new address as `_src_path` in {ANSWERS}, and commit."
            )
    if normalized(address) not in allowed:
        raise RungError(
            "The project names a template that is not the one of this Rung: "
            f"{printable(address)}\nIf you trust it, run the command again with "
            f"`--template {printable(shlex.quote(address))}`; "
            "Rung remembers it."
        )
    return with_version(address, ref)


def normalized(address: str) -> str:
    """Return an address without a slash or `.git` at its end, so that spellings can be compared."""
    return address.rstrip("/").removesuffix(".git").rstrip("/") or address


def with_version(address: str, version: str) -> Source:
    """Return the template at an address, at one of its versions."""
    if version.startswith("-") or not version.isprintable() or not version:
        raise RungError(
            f"`{printable(version)}` is not a template version. Give a tag or a commit."
        )
    own = _is_own(address)
    if own and version == template.tag() and template.clone() is None:
        _keep_installed()
    repository = _repository() if own and _is_kept(version) else Path(address)
    source = Source(address, version, repository if repository.is_dir() else None)
    if source.repository is not None and source.commit is None:
        raise _unknown_version(source)
    return source


def newest(now: Source) -> Source:
    """Return the newest version of the template that a project follows."""
    if _is_own(now.address) and template.clone() is None:
        return with_version(now.address, template.tag())
    if now.repository is not None:
        chosen = choose(str(now.repository), None)
        return Source(now.address, chosen.ref, now.repository, chosen.note)
    release = _newest_release(_tags(now.address))
    if release is None:
        raise RungError(
            f"The template {now.address} has no released version.\n"
            "Name a version of it with `--template-version`."
        )
    return with_version(now.address, release)


def _newest_release(tags: list[str]) -> str | None:
    return next((tag for tag in tags if RELEASE.match(tag)), None)


def _unknown_version(source: Source) -> RungError:
    return RungError(
        f"The template {printable(source.address)} has no version `{printable(source.ref)}`.\n"
        f"`git -C {source.repository} tag` lists those it has."
    )


def _tags(address: str) -> list[str]:
    """Return the tags of a template that is not on this machine, newest version first."""
    arguments = ("ls-remote", "--tags", "--refs", "--sort=-version:refname", "--", address)
    extra = {"GIT_ALLOW_PROTOCOL": os.environ.get("GIT_ALLOW_PROTOCOL", NETWORK)}
    # Not in the project, whose configuration could redirect the address or name a proxy.
    with tempfile.TemporaryDirectory(prefix="rung-") as away:
        extra["GIT_CEILING_DIRECTORIES"] = str(Path(away).parent)
        output = git.run(Path(away), *arguments, extra=extra)
    return [line.rpartition("refs/tags/")[2] for line in output.splitlines()]


# Trusted templates are listed in a file of the user's, never in a project, which can come from
# anywhere (decision 3).


def _trusted_file() -> Path:
    named = os.environ.get("RUNG_CONFIG_DIR")
    return Path(named or user_config_path("rung", appauthor=False)).absolute() / "templates.txt"


def _trusted() -> list[str]:
    """Return the trusted addresses; none if the file is another user's or cannot be read."""
    path = _trusted_file()
    try:
        if hasattr(os, "getuid") and path.stat().st_uid != os.getuid():
            return []
        return path.read_text("utf-8").split("\n")[:-1]
    except (OSError, UnicodeDecodeError):
        return []


def trust(address: str) -> None:
    """Trust a template from now on, and say so; report it if the file cannot be written."""
    if address in _trusted() or not address.isprintable():
        return
    path = _trusted_file()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as kept:
            kept.write(f"{address}\n")
        path.chmod(0o600)
    except OSError as error:
        print(
            f"{path} cannot be written ({error.strerror}): name the template again next time.",
            file=sys.stderr,
        )
        return
    print(f"Trusted from now on, as {path} says: {address}", file=sys.stderr)


# The installed template as a git repository in the cache (decision 1).


def _repository() -> Path:
    return cache.home() / "template.git"


def _is_own(address: str) -> bool:
    return normalized(address) == normalized(template.url())


def _is_kept(version: str) -> bool:
    kept, tag = _repository(), f"refs/tags/{version}"
    return (kept / "HEAD").is_file() and bool(git.revision(kept, tag, git.named(kept)))


def _keep_installed() -> None:
    """Put the installed template into the cache under its tag, beside the versions already there."""
    version = template.tag()
    kept = cache.bare("template")
    tree = _stored_template(template.folder())
    if git.revision(kept, f"refs/tags/{version}^{{tree}}", git.named(kept)) == tree:
        return
    message = ("-m", f"Rung {version}")
    commit = cache.run(kept, "commit-tree", tree, *message, extra=git.SAME_EVERYWHERE).strip()
    cache.run(kept, "update-ref", f"refs/tags/{version}", commit)
    cache.run(kept, "update-ref", "refs/heads/main", commit)
    cache.run(kept, "symbolic-ref", "HEAD", "refs/heads/main")


def _stored_template(folder: Path) -> str:
    """Store the template's files unchanged, whatever its ignore and attribute files say."""
    files = [
        path
        for part in ("copier.yml", "levels", "templates")
        for path in (folder / part, *(folder / part).rglob("*"))
        if path.is_file() and path.suffix != ".pyc"
    ]
    modes = {
        path.relative_to(folder).as_posix(): "100755" if path.stat().st_mode & 0o100 else "100644"
        for path in files
    }
    return cache.store(_repository(), folder, modes)
