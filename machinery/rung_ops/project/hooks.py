"""Hooks: plain functions of the user's package that the machinery calls by name.

They stand in pyproject.toml, a line each:

    [tool.rung.hooks]
    notify = "late_flights.hooks:notify"

Of several models in one repository, each may have hooks of its own; they take the place of those:

    [tool.rung.models.cancellations.hooks]
    notify = "cancellations.hooks:notify"

hook_table.py has the signature of each; a function is called with its arguments by position.
"""

import functools
import importlib
import inspect
import sys
from collections.abc import Callable
from typing import Any

from rung_ops import addons
from rung_ops.errors import StageError
from rung_ops.project import current
from rung_ops.project.hook_table import HOOKS
from rung_ops.project.model_folders import make_importable
from rung_ops.project.paths import settings


class HookError(StageError):
    """A hook cannot be used; the message names it, what is wrong, and the signature it needs."""


def load(name: str) -> Callable[..., Any] | None:
    """Return the function of a hook, or None if the project names none.

    Raises:
        HookError: the name is unknown, the function is missing, or its signature is another.
    """
    table, named = _table()
    if not isinstance(named, dict):
        raise HookError(f"pyproject.toml: [{table}] must be a table.")
    for other in named:
        if other not in HOOKS:
            raise HookError(
                f"pyproject.toml: [{table}] names `{other}`, which is not a hook. "
                f"There are: {', '.join(HOOKS)}."
            )
    if name not in named:
        return None
    return _function(name, str(named[name]), f'pyproject.toml: [{table}] {name} = "{named[name]}"')


def named() -> dict[str, Any]:
    """Return the hooks that the model of this process names; load() checks them."""
    hooks = _table()[1]
    return dict(hooks) if isinstance(hooks, dict) else {}


def _table() -> tuple[str, Any]:
    """Give the table of hooks that the model of this process uses, and its name."""
    own = settings()
    if current().root != current().repository:
        model = own.get("models", {}).get(current().root.name, {})
        if "hooks" in model:
            return f"tool.rung.models.{current().root.name}.hooks", model["hooks"]
    return "tool.rung.hooks", own.get("hooks", {})


def _function(name: str, target: str, where: str) -> Callable[..., Any]:
    module, _, attribute = target.partition(":")
    for folder in (current().root, current().repository):
        make_importable(folder)
    try:
        function = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # the user's module may raise anything
        raise HookError(
            f'{where}: it must be "MODULE:FUNCTION" of your package '
            f"({type(error).__name__}: {error})."
        ) from error
    if inspect.iscoroutinefunction(function):
        raise HookError(f"{where}: it must be a plain function, not `async def`.")
    parameters = HOOKS[name].parameters
    try:
        inspect.signature(function).bind(*parameters)
    except (TypeError, ValueError) as error:
        raise HookError(f"{where}: it must accept ({signature(name)}): {error}.") from error
    return function  # type: ignore[no-any-return]


def notify(subject: str, message: str) -> None:
    """Call the project's notify, and those of add-ons; one that fails is reported and stops nothing."""
    calls = {"The hook notify": lambda: load("notify")}
    for name, addon in addons.active().items():
        if addon.notify:
            calls[f"notify of the add-on {name}"] = functools.partial(
                addons.loaded, addon.notify, name
            )
    for name, loaded in calls.items():
        try:
            if function := loaded():
                function(subject, message)
        except Exception as error:  # it is the user's, and may raise anything
            print(
                f"{name} failed with {type(error).__name__}: {error}. "
                f"It should have reported: {subject}: {message}",
                file=sys.stderr,
            )


def signature(name: str) -> str:
    """Write the parameters of a hook: `rows, predictions`."""
    return ", ".join(parameter.partition(":")[0] for parameter in HOOKS[name].parameters)


def check_all() -> None:
    """Load every hook that the project names.

    Raises:
        HookError: the first one that cannot be used.
    """
    for name in HOOKS:
        load(name)
