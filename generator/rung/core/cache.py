"""Rung's caches: a folder with bare git repositories, of the template and of renders.

Every render can be made again, so that cache is deleted as a whole when it is old or large, unless read.
"""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from platformdirs import user_cache_path

from rung.errors import RungError
from rung.system import git, lock, shortage

OLDEST = 90  # days since the cache of renders was begun
LARGEST = 50_000_000  # bytes of renders; one of Rung's own template adds about 65,000


def home() -> Path:
    """Return the folder of Rung's caches."""
    named = os.environ.get("RUNG_CACHE_DIR")
    # Absolute: git runs in other folders.
    return Path(named or user_cache_path("rung", appauthor=False)).absolute()


def prepared() -> Path:
    """Return the folder of Rung's caches, created if missing and private to the user.

    Its content is rendered and committed, so no other user may write there.
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


def bare(name: str, kind: str = "sha1") -> Path:
    """Return a bare repository of the cache, created if missing.

    It is made under a temporary name first, since another process may be making it.
    """
    repository = prepared() / f"{name}.git"
    try:
        if (repository / "HEAD").is_file():
            for folder in ("objects", "refs"):  # a cleaner of caches removes empty folders
                (repository / folder).mkdir(exist_ok=True)
            return repository
        with tempfile.TemporaryDirectory(dir=home()) as aside:
            made = Path(aside) / repository.name
            # Always stated: GIT_DEFAULT_HASH may differ.
            form = f"--object-format={kind}"
            git.run(home(), "init", "--quiet", "--bare", form, str(made))
            with contextlib.suppress(OSError):  # another process was faster
                made.rename(repository)
    except OSError as error:
        raise _unwritable(error) from error
    return repository


def run(
    repository: Path, *arguments: str, stdin: str = "", extra: Mapping[str, str] | None = None
) -> str:
    """Run git in a bare repository of the cache; the arguments are those of `git.run`."""
    extra = {**git.named(repository), **(extra or {})}
    return git.run(repository, *arguments, stdin=stdin, extra=extra)


def store(repository: Path, folder: Path, modes: Mapping[str, str]) -> str:
    """Store files in a bare repository of the cache as they are, and return their tree."""
    plain = [path for path, mode in modes.items() if mode != git.LINK]
    hashing = ("hash-object", "-w", "--no-filters")
    names = "".join(f"{folder / path}\n" for path in plain)
    hashes = run(repository, *hashing, "--stdin-paths", stdin=names).split()
    oids = dict(zip(plain, hashes, strict=True))
    for path in modes.keys() - oids.keys():
        target = str((folder / path).readlink())
        oids[path] = run(repository, *hashing, "--stdin", stdin=target).strip()
    lines = "".join(f"{mode} {oids[path]}\t{path}\0" for path, mode in modes.items())
    with tempfile.TemporaryDirectory(prefix="rung-") as scratch:
        index = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
        run(repository, "update-index", "-z", "--index-info", stdin=lines, extra=index)
        return run(repository, "write-tree", extra=index).strip()


@contextlib.contextmanager
def renders(kind: str) -> Iterator[Path]:
    """Yield the repository of the renders of an object format, which is not deleted while it is used."""
    name = "renders" if kind == "sha1" else f"renders-{kind}"
    repository = prepared() / f"{name}.git"
    file = repository.with_suffix(".lock")
    with contextlib.ExitStack() as stack:
        # Without locks, or the right to write, nothing is deleted.
        with contextlib.suppress(OSError):
            with contextlib.suppress(BlockingIOError), lock.held(file, wait=0):
                _delete_if_outdated(repository)
            stack.enter_context(lock.held(file, shared=True))
        yield bare(name, kind)


def _delete_if_outdated(repository: Path) -> None:
    aside = repository.with_suffix(".old")
    shutil.rmtree(aside, ignore_errors=True)
    with contextlib.suppress(OSError):  # it is not there, or cannot be removed and stays
        old = time.time() - (repository / "HEAD").stat().st_mtime > OLDEST * 24 * 3600
        files = (path for path in repository.rglob("*") if not path.is_dir())
        if old or sum(path.lstat().st_size for path in files) > LARGEST:
            repository.rename(aside)  # atomic, so that no half of it is ever read
            shutil.rmtree(aside, ignore_errors=True)
