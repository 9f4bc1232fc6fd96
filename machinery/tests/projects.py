"""A project whose folders or files are elsewhere, for one test."""

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from rung_ops import project


def moved(monkeypatch: pytest.MonkeyPatch, *modules: ModuleType, **paths: Path) -> project.Project:
    """Put folders or files of the project in use somewhere else, such as `reports=tmp_path`.

    Args:
        monkeypatch: puts them back.
        modules: that see them there; by default all do.
        paths: by attributes of Project.
    """
    for module in modules:
        changed = replace(module.current(), **paths)
        monkeypatch.setattr(module, "current", lambda changed=changed: changed)
    if not modules:
        changed = replace(project.current(), **paths)
        monkeypatch.setattr(project, "_in_use", changed)
    return changed
