"""The installed template as a git repository, so that Copier can read it without a network.

Copier updates only from git. An installed Rung therefore keeps its template in a repository in
the user's cache, one tag for each version, and points git from the template's address to it.
"""

import contextlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from platformdirs import user_cache_path

from rung.errors import RungError
from rung.levels import template
from rung.system import git, shortage


def home() -> Path:
    """Return the folder of Rung's caches."""
    named = os.environ.get("RUNG_CACHE_DIR")
    # Absolute, since git runs in other folders than this one.
    return Path(named or user_cache_path("rung", appauthor=False)).absolute()


def prepared() -> Path:
    """Return the folder of Rung's caches, created if missing, private to the user.

    What is in it is rendered and committed, so no other user may write there.

    Raises:
        RungError: It belongs to somebody else, or cannot be made.
    """
    folder = home()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in (folder, *folder.iterdir()):
            if hasattr(os, "getuid") and path.lstat().st_uid != os.getuid():
                raise RungError(
                    f"{path} belongs to another user, who could change what Rung keeps there.\n"
                    "Name a folder of your own in the environment variable RUNG_CACHE_DIR."
                )
        if folder.stat().st_mode & 0o077:
            folder.chmod(0o700)
    except OSError as error:
        raise _unwritable(error) from error
    return folder


def _unwritable(error: OSError) -> RungError:
    advice = "Name another folder in the environment variable RUNG_CACHE_DIR."
    return RungError(
        f"The cache {home()} cannot be written: {error.strerror}.\n{shortage.remedy(error) or advice}"
    )


def repository() -> Path:
    """Return the path of the repository that keeps the template's versions."""
    return home() / "template.git"


def holds(version: str) -> bool:
    """Say whether a version of the template is in the cache."""
    return (repository() / "HEAD").is_file() and bool(_revision(f"refs/tags/{version}"))


def fill(source: Path, version: str) -> Path:
    """Put the template's files into the cache under a tag, beside the versions already there."""
    bare("template")
    tree = _tree(source)
    if _revision(f"refs/tags/{version}^{{tree}}") == tree:
        return repository()
    commit = _git("commit-tree", tree, "-m", f"Rung {version}", extra=git.SAME_EVERYWHERE).strip()
    _git("update-ref", f"refs/tags/{version}", commit)
    _git("update-ref", "refs/heads/main", commit)
    _git("symbolic-ref", "HEAD", "refs/heads/main")
    return repository()


def _git(*arguments: str, stdin: str = "", extra: Mapping[str, str] | None = None) -> str:
    # Named outright: git may be told to look for no bare repository.
    named = {"GIT_DIR": str(repository()), **(extra or {})}
    return git.run(repository(), *arguments, stdin=stdin, extra=named)


def _revision(name: str) -> str | None:
    named = {"GIT_DIR": str(repository())}
    return git.answers(repository(), "rev-parse", "--verify", "--quiet", name, extra=named)


def bare(name: str, kind: str = "sha1") -> Path:
    """Return a bare repository of the cache, created if missing.

    It is made aside first, since others may be doing the same.

    Args:
        name: What it is called, without `.git`.
        kind: How it names its objects: sha1 or sha256.
    """
    repository = prepared() / f"{name}.git"
    try:
        if (repository / "HEAD").is_file():
            for folder in ("objects", "refs"):  # a cleaner takes away what is empty
                (repository / folder).mkdir(exist_ok=True)
            return repository
        with tempfile.TemporaryDirectory(dir=home()) as aside:
            made = Path(aside) / repository.name
            # Always named: GIT_DEFAULT_HASH may say something else.
            form = f"--object-format={kind}"
            git.run(home(), "init", "--quiet", "--bare", form, str(made))
            with contextlib.suppress(OSError):  # another Rung was faster
                made.rename(repository)
    except OSError as error:
        raise _unwritable(error) from error
    return repository


def _tree(source: Path) -> str:
    """Store the template's files unchanged, independent of its ignore and attribute files."""
    files = sorted(
        path
        for part in ("copier.yml", "levels", "templates")
        for path in ([source / part] if part == "copier.yml" else (source / part).rglob("*"))
        if path.is_file() and path.suffix != ".pyc"
    )
    paths = "".join(f"{path}\n" for path in files)
    hashes = _git("hash-object", "-w", "--no-filters", "--stdin-paths", stdin=paths).split()
    lines = [
        f"{'100755' if path.stat().st_mode & 0o100 else '100644'} {digest}\t"
        f"{path.relative_to(source).as_posix()}\0"
        for path, digest in zip(files, hashes, strict=True)
    ]
    index = {"GIT_INDEX_FILE": str(repository() / f"index.{os.getpid()}")}
    try:
        _git("update-index", "-z", "--index-info", stdin="".join(lines), extra=index)
        return _git("write-tree", extra=index).strip()
    finally:
        Path(index["GIT_INDEX_FILE"]).unlink(missing_ok=True)


def redirect() -> dict[str, str]:
    """Return git settings that read the template's address from the cache."""
    address = template.url().removesuffix(".git")
    return {f"url.{repository().as_uri()}.insteadOf": f"{address}.git"}


def is_ours(address: str) -> bool:
    """Say whether an address is that of Rung's own template."""
    return address.removesuffix(".git") == template.url().removesuffix(".git")


def serves(address: str, version: str) -> bool:
    """Say whether this version of the template at this address can be read from the cache."""
    return is_ours(address) and holds(version)
