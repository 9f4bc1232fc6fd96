"""Ask the strategy's questions in plain words: on a terminal, or as a file to fill in."""

import textwrap
from typing import TextIO

from rung.assess_answers import assume, understand
from rung.errors import RungError
from rung.strategy import Answers
from rung.strategy.weights import Question, Weights

WIDTH = 88


def ask(answers: Answers, weights: Weights, typed: TextIO, shown: TextIO) -> Answers:
    """Ask each question that has no answer yet, and return all answers given.

    A question that is answered with Enter alone is left unanswered; what is assumed then is shown.

    Raises:
        RungError: The input ended before the last question.
    """
    given = dict(answers)
    for place, (name, question) in enumerate(weights.questions.items(), start=1):
        if name not in given:
            assumed, _ = assume(given, weights)[name]
            print(_asked(question, f"{place}/{len(weights.questions)}"), file=shown)
            answer = _reply(question, ", ".join(assumed), weights, typed, shown)
            if answer is not None:
                given[name] = answer
    return given


def form(weights: Weights) -> str:
    """Return the questions as an answers file to fill in, in YAML."""
    lines = ["# Answers to `rung assess`: a name or its number; `domain` takes a list."]
    for question in weights.questions.values():
        lines += ["", f"# {question.ask}", *_folded(question.why, "#   ")]
        for number, answer in enumerate(question.answers):
            said = ", ".join(answer.domains) or f"{answer.name}: {answer.says}"
            lines += _folded(f"{number} {said}", "#   ", "#     ")
        lines.append(f"{question.id}:")
    return "\n".join(lines) + "\n"


def _asked(question: Question, place: str) -> str:
    lines = [f"\n{place}  {question.ask}", *_folded(question.why, " " * 5)]
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
