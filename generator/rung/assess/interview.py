"""Get the answers: from a file, from options, and from a person."""

import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

from rung.assess.answers import Responses, assume, understand
from rung.assess.answers import read as read_file
from rung.assess.strategy import Answers, Choice
from rung.assess.weights import Question, Weights
from rung.errors import RungError

WIDTH = 88
PARTS = {
    "use_case": "use case",
    "culture": "culture",
    "technology": "technology",
    "people": "people",
}


def gather(
    file: Path | None,
    options: Mapping[str, str | None],
    choice: Choice,
    weights: Weights,
    *,
    ask: Sequence[str],
) -> Responses:
    """Return the responses: a file's answers, overridden by options, and then by a person.

    Args:
        file: A file of answers.
        options: Answers by question; None if an option was not given.
        choice: What was decided by options; the rest may be in the file.
        weights: The questions.
        ask: The questions to ask where they have no answer yet.
    """
    filed = read_file(file, weights) if file else Responses({}, Choice())
    given = {name: value for name, value in options.items() if value is not None}
    answers = {**filed.answers, **understand(given, weights, "options: ")}
    open_questions = [name for name in ask if name not in answers]
    if open_questions:
        if not sys.stdin.isatty():
            raise _no_terminal(open_questions)
        answers = dict(ask_person(open_questions, answers, weights, sys.stdin, sys.stderr))
    return Responses(
        answers,
        Choice(
            choice.game or filed.choice.game,
            filed.choice.start if choice.start is None else choice.start,
            filed.choice.target if choice.target is None else choice.target,
        ),
    )


def _no_terminal(names: Sequence[str]) -> RungError:
    return RungError(
        f"There is no terminal to ask on, and these questions have no answer: {', '.join(names)}.\n"
        f"Answer them with `--answers FILE` or with options such as `--{names[0]} 1`, "
        "or add `--defaults` to have them assumed."
    )


def ask_person(
    names: Sequence[str], answers: Answers, weights: Weights, typed: TextIO, shown: TextIO
) -> Answers:
    """Ask the questions of these names, and return the answers with those given before.

    A question that is answered with Enter alone is left unanswered; what is assumed then is shown.

    Raises:
        RungError: The input ended before the last question.
    """
    given = dict(answers)
    for number, name in enumerate(names, start=1):
        question = weights.questions[name]
        assumed, _ = assume(given, weights)[name]
        print(_asked(question, f"{number}/{len(names)} {PARTS[question.part]}"), file=shown)
        answer = _reply(question, ", ".join(assumed), weights, typed, shown)
        if answer is not None:
            given[name] = answer
    return given


def form(weights: Weights) -> str:
    """Return the questions as an answers file to fill in, in YAML."""
    lines = [
        "# Answers to `rung assess`: a name or its number; `domain` and `customers` take lists."
    ]
    for question in weights.questions.values():
        lines += ["", f"# {question.ask}", *_folded(question.why, "#   ")]
        for number, answer in enumerate(question.answers):
            meaning = ", ".join(answer.domains) or f"{answer.name}: {answer.says}"
            lines += _folded(f"{number} {meaning}", "#   ", "#     ")
        lines.append(f"{question.id}:")
    return "\n".join(lines) + "\n"


def _asked(question: Question, progress: str) -> str:
    lines = [f"\n{progress}: {question.ask}", *_folded(question.why, " " * 5)]
    for number, answer in enumerate(question.answers):
        lines += _folded(f"{number}  {answer.says}", " " * 5, " " * 8)
    return "\n".join(lines)


def _folded(text: str, first: str, further: str | None = None) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=first if further is None else further,
        break_on_hyphens=False,
    )


def _reply(
    question: Question, assumed: str, weights: Weights, typed: TextIO, shown: TextIO
) -> tuple[str, ...] | None:
    several = ", or several with commas between" if question.several else ""
    while True:
        print(f"     0 to 3{several} [Enter: {assumed}] ", end="", file=shown, flush=True)
        line = typed.readline()
        if not line:
            raise RungError(
                f"The input ended at the question `{question.id}`.\n"
                "Answer it, or add `--defaults` to have the rest assumed."
            )
        if not line.strip():
            return None
        try:
            return understand({question.id: line.strip()}, weights)[question.id]
        except RungError as error:
            print(f"     {error}", file=shown)
