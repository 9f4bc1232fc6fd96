"""The installed template as a git repository, so that Copier can read it without a network.

Copier updates only from git. An installed Rung therefore keeps its template in a repository in
the user's cache, one tag for each version, and points git from the template's address to it.
"""

import os
from pathlib import Path

from platformdirs import user_cache_path

from rung import git, template
from rung.errors import RungError

# The same files must give the same commit on every machine, so nothing of this one goes into it.
AUTHOR = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (
        ("NAME", "Rung"),
        ("EMAIL", "rung@localhost"),
        ("DATE", "2026-01-01T00:00:00+0000"),
    )
}


def home() -> Path:
    """Return the folder of Rung's caches."""
    return Path(os.environ.get("RUNG_CACHE_DIR") or user_cache_path("rung", appauthor=False))


def repository() -> Path:
    """Return the path of the repository that keeps the template's versions."""
    return home() / "template.git"


def holds(version: str) -> bool:
    """Say whether a version of the template is in the cache."""
    return (repository() / "HEAD").is_file() and bool(
        git.answers(repository(), "rev-parse", "--verify", "--quiet", f"refs/tags/{version}")
    )


def fill(source: Path, version: str) -> Path:
    """Put the template's files into the cache under a tag, beside the versions already there."""
    try:
        repository().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RungError(
            f"The cache {repository()} cannot be written: {error.strerror}.\n"
            "Name another folder in the environment variable RUNG_CACHE_DIR."
        ) from error
    git.run(repository(), "init", "--quiet", "--bare")
    tree = _tree(source)
    if git.answers(repository(), "rev-parse", "--verify", "--quiet", f"{version}^{{tree}}") == tree:
        return repository()
    commit = git.run(
        repository(), "commit-tree", tree, "-m", f"Rung {version}", extra=AUTHOR
    ).strip()
    git.run(repository(), "update-ref", f"refs/tags/{version}", commit)
    git.run(repository(), "update-ref", "refs/heads/main", commit)
    git.run(repository(), "symbolic-ref", "HEAD", "refs/heads/main")
    return repository()


def _tree(source: Path) -> str:
    """Store the template's files as they are, whatever its own ignore and attribute files say."""
    files = sorted(
        path
        for part in ("copier.yml", "levels", "templates")
        for path in ([source / part] if part == "copier.yml" else (source / part).rglob("*"))
        if path.is_file() and path.suffix != ".pyc"
    )
    paths = "".join(f"{path}\n" for path in files)
    hashes = git.run(
        repository(), "hash-object", "-w", "--no-filters", "--stdin-paths", stdin=paths
    ).split()
    lines = [
        f"{'100755' if path.stat().st_mode & 0o100 else '100644'} {digest}\t"
        f"{path.relative_to(source).as_posix()}\0"
        for path, digest in zip(files, hashes, strict=True)
    ]
    index = {"GIT_INDEX_FILE": str(repository() / f"index.{os.getpid()}")}
    try:
        git.run(
            repository(), "update-index", "-z", "--index-info", stdin="".join(lines), extra=index
        )
        return git.run(repository(), "write-tree", extra=index).strip()
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
