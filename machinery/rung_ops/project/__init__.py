"""The project that verbs work on: its folders and files, settings and parameters, hooks and models.

A project is the folder with a `[tool.rung]` table in its pyproject.toml. Nothing looks for it at
import: `current()` finds it from the working directory when it is first asked for, and `use()` sets
another, for example where one process works on two projects.
"""

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from rung_ops.errors import NoProjectError, SettingsError
from rung_ops.settings import converted

__all__ = ["NoProjectError", "Project", "ProjectSettings", "current", "use"]


class ModelSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `[tool.rung.models.NAME]` says of one of several models."""

    hooks: dict[str, str] | None = None  # in the place of the repository's


class ProjectSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `[tool.rung]` says."""

    package: str = ""  # of the repository's own model, in src/
    machinery: str | None = None  # the version that the project's files are written for
    addons: list[str] = []  # without which no verb runs
    hooks: dict[str, str] = {}  # functions of the package, by the hook's name
    models: dict[str, ModelSettings] = {}  # by the names of their folders


@dataclass(frozen=True)
class Project:
    """A project, and the folders and files of one of its models.

    Attributes:
        repository: folder with the pyproject.toml that has a `[tool.rung]` table.
        root: folder of the model: the repository, or a folder of models/ with a src/ of its own.
        refitted: the same settings fitted to all rows, where params.toml asks for it.
    """

    repository: Path
    root: Path
    sample: Path
    incoming: Path
    warehouse: Path
    ingested: Path
    rows: Path
    train: Path
    test: Path
    model_file: Path
    refitted: Path
    reports: Path
    metrics: Path
    plots: Path
    predictions: Path
    report: Path
    validation: Path

    @classmethod
    def at(cls, repository: Path, root: Path | None = None) -> "Project":
        """Describe the model in a folder of a project; by default the repository's own."""
        root = root or repository
        data, reports = root / "data", root / "reports"
        return cls(
            repository=repository,
            root=root,
            sample=data / "sample",
            incoming=data / "incoming",
            warehouse=data / "incoming/warehouse",
            ingested=data / "ingested",
            rows=data / "rows.parquet",
            train=data / "train.parquet",
            test=data / "test.parquet",
            model_file=root / "model/model.skops",
            refitted=root / "model/refit/model.skops",
            reports=reports,
            metrics=reports / "metrics.json",
            plots=reports / "plots",
            predictions=reports / "predictions.parquet",
            report=reports / "report.html",
            validation=reports / "validation.json",
        )

    @classmethod
    def find(cls, start: Path) -> "Project":
        """Find the project that a folder is in, and the model that a command typed there means."""
        for folder in (start, *start.parents):
            file = folder / "pyproject.toml"
            if file.is_file() and "rung" in _tool(file):
                models = folder / "models"
                inside = start.relative_to(models).parts if start.is_relative_to(models) else ()
                is_model = inside and (models / inside[0] / "src").is_dir()
                return cls.at(folder, models / inside[0] if is_model else folder)
        raise NoProjectError(
            f"{start} is in no project: no pyproject.toml from there upwards has a `[tool.rung]` "
            "table. Change to the folder of your project."
        )

    def settings(self) -> ProjectSettings:
        """Read the `[tool.rung]` table of pyproject.toml."""
        try:
            return converted(self.table(), ProjectSettings, "pyproject.toml: [tool.rung]")
        except SettingsError as error:
            raise NoProjectError(str(error)) from error

    def table(self) -> dict[str, Any]:
        """Read the same table unchecked, as a project of another version may have other names."""
        return dict(_tool(self.repository / "pyproject.toml")["rung"])

    def metadata(self) -> dict[str, Any]:
        """Read the `[project]` table, which names and describes the project."""
        text = (self.repository / "pyproject.toml").read_text(encoding="utf-8")
        return dict(tomllib.loads(text)["project"])


_in_use: Project | None = None


def current() -> Project:
    """Return the project in use: that of the working directory at the first call, or of `use()`."""
    global _in_use
    if _in_use is None:
        _in_use = Project.find(Path.cwd().resolve())
    return _in_use


@contextmanager
def use(project: Project) -> Iterator[Project]:
    """Work on a project, in all threads of this process, until the block ends."""
    global _in_use
    before, _in_use = _in_use, project
    try:
        yield project
    finally:
        _in_use = before


def _tool(file: Path) -> dict[str, Any]:
    try:
        return _tool_table(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise NoProjectError(f"{file} is not valid TOML: {error}.") from error


@lru_cache(maxsize=8)  # each name of the contract asks for the package's
def _tool_table(text: str) -> dict[str, Any]:
    return dict(tomllib.loads(text).get("tool", {}))
