"""A project whose folders or files are elsewhere, for one test."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from rung_ops import project


def moved(monkeypatch: pytest.MonkeyPatch, **paths: Path) -> project.Project:
    """Put folders or files of the project in use somewhere else, such as `reports=tmp_path`.

    Another `root` without a `repository` is another project, with this one's pyproject.toml and ops/.
    """
    here = project.current()
    if "root" in paths and "repository" not in paths:
        paths["repository"] = root = paths["root"]
        root.mkdir(parents=True, exist_ok=True)
        if not (root / "pyproject.toml").exists():
            shutil.copy(here.repository / "pyproject.toml", root)
        if not (root / "ops").exists():
            shutil.copytree(here.repository / "ops", root / "ops")
    changed = replace(here, **paths)
    monkeypatch.setattr(project, "_in_use", changed)
    return changed
