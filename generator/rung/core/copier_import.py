"""Import Copier, without its prompts where no question will be asked: they take a third of the time."""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

# What Copier takes from the packages that prompt; `Choice` also holds the choices of a question.
PROMPTS = {
    "questionary": ("confirm", "unsafe_prompt"),
    "questionary.prompts.common": ("Choice",),
    "prompt_toolkit.lexers": ("PygmentsLexer",),
    "pygments.lexers.data": ("JsonLexer", "YamlLexer"),
}
TAKEN_BY = ("copier._main", "copier._user_data")


class Choice:
    """A choice of a question that is not asked, with what Copier reads of it."""

    def __init__(self, title: str, value: Any = None, disabled: str | None = None) -> None:
        """Accept Copier's arguments."""
        self.title, self.value, self.disabled = title, value, disabled


def copier(*, prompts: bool) -> Any:
    """Import Copier.

    Args:
        prompts: Whether it may ask questions.
    """
    packages = {name.partition(".")[0] for name in PROMPTS}
    if prompts:
        module = import_module("copier")
        _take_prompts()
        return module
    if "copier" in sys.modules or packages & sys.modules.keys():
        return import_module("copier")
    stand_ins = _stand_ins()
    sys.modules.update(stand_ins)
    try:
        return import_module("copier")
    except (ImportError, AttributeError):  # a version that takes something else of them
        for name in [name for name in sys.modules if name.partition(".")[0] == "copier"]:
            del sys.modules[name]
    finally:
        for name in stand_ins:
            sys.modules.pop(name, None)
    return import_module("copier")


def _stand_ins() -> dict[str, ModuleType]:
    """Return stand-ins for the modules that prompt, with what Copier takes from them."""
    made: dict[str, ModuleType] = {}
    for name, members in PROMPTS.items():
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            made.setdefault(".".join(parts[:end]), ModuleType(".".join(parts[:end])))
        for member in members:
            setattr(made[name], member, Choice if member == "Choice" else None)
    return made


def _take_prompts() -> None:
    """Replace the stand-ins by the prompts, where Copier was imported without them."""
    for taker in TAKEN_BY:
        module = sys.modules.get(taker)
        for name, members in PROMPTS.items():
            for member in members:
                if getattr(module, member, Choice) in (None, Choice) and hasattr(module, member):
                    setattr(module, member, getattr(import_module(name), member))
