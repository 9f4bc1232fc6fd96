"""The interview of `rung new`: Copier asks, `?` explains a question, `<` returns to the one before."""

import re
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rung.system import terminal

if TYPE_CHECKING:
    from copier.errors import CopierAnswersInterrupt
    from prompt_toolkit.input import Input

SUGGESTION = re.compile(r"suggested_(\w+)")  # the question that a placeholder belongs to


def ask(
    copy: Callable[[Mapping[str, Any], Mapping[str, Any]], object],
    answers: Mapping[str, Any],
    questions: Mapping[str, Any],
) -> None:
    """Run Copier until all is answered, again from the question at which `?` or `<` was pressed.

    Args:
        copy: Runs Copier with answers, which are not asked for, and with other defaults.
        answers: What was answered before the interview.
        questions: The template's.
    """
    from copier.errors import CopierAnswersInterrupt
    from prompt_toolkit.application import create_app_session

    print(terminal.KEYS, file=sys.stderr)
    typed: dict[str, Any] = {}
    again: dict[str, Any] = {}  # to be offered where the user has gone back
    while True:
        keys: list[str] = []
        try:
            with create_app_session(input=_keyboard(keys)):
                copy({**answers, **typed}, again)
            return
        except CopierAnswersInterrupt as stopped:
            if not keys:
                raise
            typed = _typed(stopped, answers, questions)
            again |= typed
            if keys == ["?"]:
                terminal.show(_explained(stopped.last_question.var_name, questions))
            elif typed:
                typed.popitem()


def _keyboard(pressed: list[str]) -> "Input":
    """Return the terminal's keys, where a `?` or `<` in an unchanged line ends the question.

    Args:
        pressed: Takes the key that ended it.
    """
    from prompt_toolkit.application import get_app
    from prompt_toolkit.key_binding import KeyPress
    from prompt_toolkit.keys import Keys

    if sys.platform == "win32":
        from prompt_toolkit.input.win32 import Win32Input as Terminal
    else:
        from prompt_toolkit.input.vt100 import Vt100Input as Terminal

    class Keyboard(Terminal):
        asking: object = None
        line = ""  # as it was when the question was asked

        def read_keys(self) -> list[KeyPress]:
            app = get_app()
            text = app.current_buffer.text
            if app is not self.asking:
                self.asking, self.line = app, text
            keys = super().read_keys()
            # A terminal's report of where its cursor is comes among the keys.
            first = next((key.data for key in keys if key.key != Keys.CPRResponse), "")
            if first in ("?", "<") and text == self.line:
                pressed.append(first)
                app.erase_when_done = True
                return [KeyPress(Keys.ControlC)]
            return keys

    return Keyboard(sys.stdin)


def _typed(
    stopped: "CopierAnswersInterrupt", answers: Mapping[str, Any], questions: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what the user typed: neither what was answered before nor what is computed."""
    environment = stopped.last_question.jinja_env
    typed, known = {}, dict(answers)
    for name, answer in stopped.answers.user.items():
        question = questions.get(name, {})
        when = str(question.get("when", True))
        if (
            name not in answers
            and "ask" not in question  # of Rung's questions only an update asks those
            and environment.from_string(when).render(known) == "True"
        ):
            typed[name] = answer
        known[name] = answer
    return typed


def _explained(name: str, questions: Mapping[str, Any]) -> str:
    recorded = SUGGESTION.search(questions[name].get("placeholder", ""))
    explanations = questions.get("explanations", {}).get("default", {})
    return str(explanations.get(recorded[1] if recorded else name, terminal.KEYS))
