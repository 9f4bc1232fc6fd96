"""How Copier asks for a line of text: what is typed replaces the default, as it does everywhere.

Copier puts the default into the line, where it has to be deleted first.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def replaced_by_typing() -> Iterator[None]:
    """Show defaults in grey until something is typed; Enter alone takes them.

    The method is Copier's own affair: a version of it that has none asks in its own way.
    """
    from copier import _user_data

    question: Any = getattr(_user_data, "Question", None)
    original = getattr(question, "get_questionary_structure", None)
    if original is None:
        yield
        return

    def structure(self: Any) -> dict[str, Any]:
        prompt: dict[str, Any] = original(self)
        default = prompt.get("default")
        # Where an empty answer is allowed, it could not be given any more.
        if prompt["type"] == "input" and default and prompt["validate"]("") is not True:
            prompt |= {"default": "", "placeholder": default}
            for name in ("filter", "validate"):
                prompt[name] = _or_default(prompt[name], default)
        return prompt

    question.get_questionary_structure = structure
    try:
        yield
    finally:
        question.get_questionary_structure = original


def _or_default(function: Callable[[str], Any], default: str) -> Callable[[str], Any]:
    return lambda answer: function(answer or default)
