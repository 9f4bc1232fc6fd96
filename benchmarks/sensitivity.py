"""How much of a strategy changes when one or two answers change by one step."""

import argparse
import re
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

from rung.assess.strategy import Strategy, from_answers
from rung.assess.weights import Answers, Question, Weights, load

ROOT = Path(__file__).resolve().parents[1]
PERSONAS = ROOT / "docs" / "personas"
SECTION = re.compile(r"<!-- sensitivity -->.*?<!-- /sensitivity -->\n", re.DOTALL)
WHAT = ("use case", "start", "target", "north star", "first block", "set of blocks", "whole order")


def steps(question: Question, given: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield the answers one step away; of several answers, one moves by one step."""
    for place, name in enumerate(given):
        answer = question.answer(name)
        assert answer is not None
        now = question.answers.index(answer)
        for near in (now - 1, now + 1):
            if 0 <= near < len(question.answers):
                moved = question.answers[near].name
                yield (*given[:place], moved, *given[place + 1 :])


def changed(answers: Answers, weights: Weights, count: int) -> Iterator[tuple[str, Answers]]:
    """Yield every set of answers in which `count` answers lie one step away, and which those are."""
    for names in combinations(weights.questions, count):
        made = [dict(answers)]
        for name in names:
            question = weights.questions[name]
            made = [{**each, name: near} for each in made for near in steps(question, each[name])]
        yield from ((", ".join(names), each) for each in made)


def facts(made: Strategy) -> dict[str, object]:
    """Return what is compared, in the order of WHAT."""
    order = tuple(block.name for block in made.order)
    values = (
        made.game.name,
        made.start.level,
        made.target.level,
        made.north.level,
        order[:1],
        frozenset(order),
        order,
    )
    return dict(zip(WHAT, values, strict=True))


def measure(
    answers: Answers, weights: Weights, count: int
) -> tuple[Counter[str], Counter[str], int]:
    """Count what changes; by question, how often the whole order or a rung does."""
    before = facts(from_answers(answers, weights))
    differ: Counter[str] = Counter()
    by_question: Counter[str] = Counter()
    total = 0
    for names, each in changed(answers, weights, count):
        after = facts(from_answers(each, weights))
        differing = [what for what in WHAT if after[what] != before[what]]
        differ.update(differing)
        by_question[names] += bool(differing)
        total += 1
    return differ, by_question, total


def section(personas: dict[str, Answers], weights: Weights) -> str:
    """Return the tables of docs/benchmarks.md."""
    lines = ["<!-- sensitivity -->"]
    touched: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    for count, words in ((1, "One answer"), (2, "Two answers")):
        lines += [
            "",
            f"{words} changed by one step: in what share of all such changes this differs.",
            "",
            f"|Changes|{'|'.join(word.capitalize() for word in WHAT)}|",
            f"|-:|{'-:|' * len(WHAT)}",
        ]
        every: Counter[str] = Counter()
        changes = 0
        for answers in personas.values():
            differ, by_question, total = measure(answers, weights, count)
            every += differ
            changes += total
            if count == 1:
                touched += by_question
                tried.update(names for names, _ in changed(answers, weights, 1))
        lines.append(row(every, changes))
    lines += [
        "",
        "In how many of a question's one-step changes anything above differs:",
        "",
        "|Question|Changes|Something differs|",
        "|-|-:|-:|",
    ]
    for name in sorted(tried, key=lambda each: -touched[each] / tried[each]):
        lines.append(f"|`{name}`|{tried[name]}|{touched[name] / tried[name]:.0%}|")
    return "\n".join([*lines, "<!-- /sensitivity -->", ""])


def row(differ: Counter[str], total: int) -> str:
    return f"|{total}|{'|'.join(f'{differ[what] / total:.0%}' for what in WHAT)}|"


def main() -> None:
    """Compute the tables, and print them or write them into a page."""
    from page import publish

    from rung.assess.answers import read

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the tables into this page")
    options = parser.parse_args()
    weights = load(ROOT / "levels")
    personas = {file.stem: read(file, weights).answers for file in sorted(PERSONAS.glob("*.yml"))}
    made = section(personas, weights)
    publish(made, "sensitivity", options.write)


if __name__ == "__main__":
    main()
