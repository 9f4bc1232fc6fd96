"""How Copier asks for a line of text: what is typed replaces the default, as it does everywhere.

Copier puts the default into the line, where it has to be deleted first.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from rung.spared import replaced


@contextlib.contextmanager
def replaced_by_typing() -> Iterator[None]:
    """Show defaults in grey until something is typed; Enter alone takes them.

    The method is Copier's own affair: a version of it that has none asks in its own way.
    """
    from copier import _user_data

    name = "get_questionary_structure"
    question: Any = getattr(_user_data, "Question", None)
    original: Any = getattr(question, name, None)

    def structure(self: Any) -> dict[str, Any]:
        prompt: dict[str, Any] = original(self)
        default = prompt.get("default")
        # Where an empty answer is allowed, it could not be given any more.
        if prompt["type"] == "input" and default and prompt["validate"]("") is not True:
            prompt |= {"default": "", "placeholder": default}
            for use in ("filter", "validate"):
                prompt[use] = _or_default(prompt[use], default)
        return prompt

    with replaced(question, name, structure):
        yield


def _or_default(function: Callable[[str], Any], default: str) -> Callable[[str], Any]:
    return lambda answer: function(answer or default)
