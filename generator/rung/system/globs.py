"""Globs of paths, in the dialect of .gitignore, which Copier has as well."""

from collections.abc import Iterable

from pathspec import GitIgnoreSpec


def matching(paths: Iterable[str], globs: Iterable[str]) -> list[str]:
    """Return the paths that match a glob.

    Paths and globs begin at the same root: `*.py` matches no file in a folder, `**/*.py` all.
    """
    return list(GitIgnoreSpec.from_lines(f"/{glob}" for glob in globs).match_files(paths))
