"""Rung's caches: a folder with two bare git repositories, of the template and of renders."""

import contextlib
import os
import tempfile
from pathlib import Path

from platformdirs import user_cache_path

from rung.errors import RungError
from rung.system import git, shortage


def home() -> Path:
    """Return the folder of Rung's caches."""
    named = os.environ.get("RUNG_CACHE_DIR")
    # Absolute: git runs in other folders.
    return Path(named or user_cache_path("rung", appauthor=False)).absolute()


def prepared() -> Path:
    """Return the folder of Rung's caches, created if missing and private to the user.

    Its content is rendered and committed, so no other user may write there.

    Raises:
        RungError: It belongs to another user, or cannot be made.
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

    Args:
        name: Its name, without `.git`.
        kind: Its object format: sha1 or sha256.
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
