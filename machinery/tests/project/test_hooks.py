"""Of several models, each has the hooks of its own table, or those of the repository."""

import pytest

from machinery.tests.projects import moved
from rung_ops.project import current, hooks

OF_ALL = {"notify": "json:dumps"}
OF_ONE = {"monitor_check": "json:loads"}


@pytest.mark.parametrize(
    ("model", "own", "loaded"),
    [
        (None, {"hooks": OF_ALL}, {"notify"}),
        ("one", {"hooks": OF_ALL}, {"notify"}),
        ("one", {"hooks": OF_ALL, "models": {"one": {"hooks": OF_ONE}}}, {"monitor_check"}),
        ("two", {"hooks": OF_ALL, "models": {"one": {"hooks": OF_ONE}}}, {"notify"}),
        (None, {"hooks": OF_ALL, "models": {"one": {"hooks": OF_ONE}}}, {"notify"}),
    ],
)
def test_a_model_has_its_own_hooks_or_the_repositorys(
    monkeypatch: pytest.MonkeyPatch,
    model: str | None,
    own: dict[str, object],
    loaded: set[str],
) -> None:
    monkeypatch.setattr(hooks, "settings", lambda: own)
    monkeypatch.setattr(hooks, "_function", lambda name, target, where: print)
    repository = current().repository
    moved(monkeypatch, hooks, root=repository / "models" / model if model else repository)

    assert {name for name in hooks.HOOKS if hooks.load(name)} == loaded


def test_the_table_of_a_model_is_named_where_its_hook_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hooks, "settings", lambda: {"models": {"one": {"hooks": {"notfy": "a:b"}}}})
    moved(monkeypatch, hooks, root=current().repository / "models/one")

    with pytest.raises(hooks.HookError, match=r"\[tool.rung.models.one.hooks\] names `notfy`"):
        hooks.load("notify")
