"""Answers to the template's questions: gathered from the command line, and checked."""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from rung.errors import RungError
from rung.system import plain_yaml

ANSWERS = ".copier-answers.yml"  # where a project records its answers
FORM = "Write one `question: answer` on each line."  # of a file of answers
ALIASES = {"game": "use_case", "rung": "level"}  # names that texts had for a question
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 .,&()+_-]{0,79}\Z")  # of a project


def readable_name(text: str) -> str:
    """Return a name for a project from that of a folder or an address; empty if it gives none."""
    name = re.sub(r"[^A-Za-z0-9 ._-]+|\.\.+", "-", text).strip("-._ ")[:80]
    return name if NAME.match(name) else ""


def gather_answers(
    file: Path | None, pairs: Sequence[str], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return one mapping of the answers: a file's, overridden by -d, overridden by options."""
    answers = {
        ALIASES.get(name, name): answer for name, answer in (read(file) if file else {}).items()
    }
    for pair in pairs:
        question, equals, answer = pair.partition("=")
        if not equals or not question:
            raise RungError(f"`-d {pair}` is not an answer. Write `-d QUESTION=ANSWER`.")
        answers[ALIASES.get(question, question)] = answer
    return answers | {name: value for name, value in options.items() if value is not None}


def read(file: Path, *, unique: bool = False) -> dict[str, Any]:
    """Read a YAML file of answers, such as another project's .copier-answers.yml.

    `unique` refuses a duplicate key, of which YAML silently takes the last.

    Raises:
        RungError: It cannot be read, or is not a mapping with names as keys.
    """
    try:
        text = file.read_text("utf-8")
        content = plain_yaml.load(text)
        repeated = plain_yaml.repeated_key(text) if unique else None
    except OSError as error:
        raise RungError(f"The answers file {file} cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, yaml.YAMLError, ValueError, RecursionError) as error:
        problem = " ".join(str(error).split())
        raise RungError(f"The answers file {file} is not YAML text: {problem}\n{FORM}") from error
    if repeated:
        raise RungError(
            f"The answers file {file} answers `{repeated}` twice. Remove one of the two."
        )
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise RungError(f"The answers file {file} holds no answers: it must be a mapping.\n{FORM}")
    # Copier's own entries say where another project came from; they are not answers.
    return {name: answer for name, answer in content.items() if not name.startswith("_")}


def is_answer(name: str, question: Mapping[str, Any]) -> bool:
    """Return whether a question is answered by the user and recorded (decision 37).

    The others are computed, or are the first step of a question with a suggestion.
    """
    return question.get("when") is not False and "placeholder" not in question


def is_setting(question: Mapping[str, Any]) -> bool:
    """Return whether a question is never asked: `-d` and Copier's settings answer it."""
    return question.get("ask") is False


def check_answers(answers: Mapping[str, Any], questions: Mapping[str, Any]) -> None:
    """Raise a RungError for an answer to an unknown question, or one that cannot be recorded."""
    known = [name for name, question in questions.items() if is_answer(name, question)]
    for name, answer in answers.items():
        if name not in known:
            close = get_close_matches(name, known, 1)
            hint = f"Did you mean `{close[0]}`? " if close else ""
            raise RungError(
                f"There is no question `{name}`. {hint}The questions are: {', '.join(known)}."
            )
        _refuse_unwritable(name, answer, questions[name].get("type"))


def _refuse_unwritable(name: str, answer: Any, kind: str | None) -> None:
    if not isinstance(answer, str | int | float):
        raise RungError(
            f"The answer to `{name}` is not one line of text. Write it in quotes, on one line."
        )
    try:
        str(answer).encode()
    except UnicodeEncodeError as error:
        raise RungError(
            f"The answer to `{name}` is not valid text (UTF-8). Write it again."
        ) from error
    if kind == "bool" and str(answer).lower() not in ("true", "false", "yes", "no"):
        raise RungError(f"The answer to `{name}` is {str(answer)!r}. Write `true` or `false`.")
    if kind == "int":
        try:
            int(str(answer))
        except ValueError as error:
            raise RungError(
                f"The answer to `{name}` is not a number: {str(answer)!r}. Give a whole number."
            ) from error
