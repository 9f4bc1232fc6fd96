"""A project whose folders or files are elsewhere, for one test."""

from dataclasses import replace
from pathlib import Path

import pytest

from rung_ops import project


def moved(monkeypatch: pytest.MonkeyPatch, **paths: Path) -> project.Project:
    """Put folders or files of the project in use somewhere else, such as `reports=tmp_path`."""
    changed = replace(project.current(), **paths)
    monkeypatch.setattr(project, "_in_use", changed)
    return changed
