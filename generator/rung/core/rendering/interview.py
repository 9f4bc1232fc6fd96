"""The interview of `rung new`: Copier asks, `?` explains a question, `<` returns to the one before."""

import re
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rung.system import terminal

if TYPE_CHECKING:
    from copier.errors import CopierAnswersInterrupt
    from prompt_toolkit.input import Input

REFUSED = re.compile(r"^Validation error for question '\w+': ")  # what Copier puts before a reason
SUGGESTION = re.compile(r"suggested_(\w+)")  # the question that a placeholder belongs to


def ask(
    copy: Callable[[Mapping[str, Any], Mapping[str, Any]], object],
    answers: Mapping[str, Any],
    questions: Mapping[str, Any],
) -> None:
    """Run Copier until all is answered, again from a question at which `?` or `<` was pressed, or
    whose answer was refused.

    `copy` runs Copier with answers, which are not asked for, and with other defaults; `answers` were
    given before the interview.
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
            elif keys != ["<"]:
                terminal.show(_refused(stopped.last_question.get_message(), keys[0]))
            elif typed:
                typed.popitem()


def _keyboard(pressed: list[str]) -> "Input":
    """Return the terminal's keys, where a `?` or `<` in an unchanged line ends the question.

    An answer that is refused ends it, too: a toolbar would cut off the reason. `pressed` takes the key
    that ended it, or the reason.
    """
    from prompt_toolkit.application import Application, get_app
    from prompt_toolkit.filters import Never
    from prompt_toolkit.key_binding import KeyPress
    from prompt_toolkit.keys import Keys

    if sys.platform == "win32":
        from prompt_toolkit.input.win32 import Win32Input as Terminal
    else:
        from prompt_toolkit.input.vt100 import Vt100Input as Terminal

    class Keyboard(Terminal):
        asking: object = None
        line = ""  # as it was when the question was asked
        is_complete = False

        def read_keys(self) -> list[KeyPress]:
            app = get_app()
            text = app.current_buffer.text
            if app is not self.asking:
                self.asking, self.line = app, text
                app.current_buffer.validate_while_typing = Never()
                app.before_render += self.end_if_refused
            keys = super().read_keys()
            # A terminal's report of where its cursor is comes among the keys.
            first = next((key.data for key in keys if key.key != Keys.CPRResponse), "")
            if first in ("?", "<") and text == self.line:
                pressed.append(first)
                app.erase_when_done = True
                return [KeyPress(Keys.ControlC)]
            self.is_complete = any(key.key == Keys.ControlM for key in keys)
            return keys

        def end_if_refused(self, app: Application[Any]) -> None:
            refusal = app.current_buffer.validation_error
            if self.is_complete and refusal and not pressed:
                pressed.append(refusal.message)
                app.current_buffer.validation_error = None  # is drawn once more
                app.erase_when_done = True
                app.exit(exception=KeyboardInterrupt())

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


def _refused(prompt: str, message: str) -> str:
    """Return why an answer is refused, with the question as it was asked."""
    question = prompt.strip().splitlines()[0]
    return f"{question} {REFUSED.sub('', ' '.join(message.split()))}"


def _explained(name: str, questions: Mapping[str, Any]) -> str:
    recorded = SUGGESTION.search(questions[name].get("placeholder", ""))
    explanations = questions.get("explanations", {}).get("default", {})
    return str(explanations.get(recorded[1] if recorded else name, terminal.KEYS))
