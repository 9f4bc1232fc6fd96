"""Of several models, each has the hooks of its own table, or those of the repository."""

import pytest

from machinery.tests.conftest import Patch
from machinery.tests.projects import moved
from rung_ops.errors import StageError
from rung_ops.project import ModelSettings, Project, ProjectSettings, current, hooks

OF_ALL = {"notify": "json:dumps"}
OF_ONE = {"monitor_check": "json:loads"}


@pytest.mark.parametrize(
    ("model", "own", "loaded"),
    [
        (None, {}, {"notify"}),
        ("one", {}, {"notify"}),
        ("one", {"one": ModelSettings(OF_ONE)}, {"monitor_check"}),
        ("two", {"one": ModelSettings(OF_ONE)}, {"notify"}),
        (None, {"one": ModelSettings(OF_ONE)}, {"notify"}),
    ],
)
def test_a_model_has_its_own_hooks_or_the_repositorys(
    monkeypatch: Patch, model: str | None, own: dict[str, ModelSettings], loaded: set[str]
) -> None:
    settings = ProjectSettings(hooks=OF_ALL, models=own)
    monkeypatch.setattr(Project, "settings", lambda _: settings)
    monkeypatch.setattr(hooks, "_function", lambda name, target, where: print)
    repository = current().repository
    moved(monkeypatch, hooks, root=repository / "models" / model if model else repository)

    assert {name for name in hooks.HOOKS if hooks.load(name)} == loaded


def test_the_table_of_a_model_is_named_where_its_hook_cannot_be_used(monkeypatch: Patch) -> None:
    settings = ProjectSettings(models={"one": ModelSettings({"notfy": "a:b"})})
    monkeypatch.setattr(Project, "settings", lambda _: settings)
    moved(monkeypatch, hooks, root=current().repository / "models/one")

    with pytest.raises(StageError, match=r"\[tool.rung.models.one.hooks\] names `notfy`"):
        hooks.load("notify")
