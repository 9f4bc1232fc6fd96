"""The answers to the strategy's questions: from a file, options and the user, or else assumed."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher, get_close_matches
from pathlib import Path
from typing import Any, TextIO

from rung.assess.strategy import NO_CHOICE, Choice, Shares, game_of
from rung.assess.weights import GAMES, Answers, Assumption, Question, Weights
from rung.errors import RungError
from rung.levels import template_answers
from rung.levels.ladder import RUNGS
from rung.system import terminal

LARGEST = 1_000_000  # bytes; all answers take some hundred
WIDTH = 88
METRIC = "impact_metric"  # its name in files, and the question of `rung new` that takes it
BACK = "<"  # typed alone, it returns to the question before
ASK_METRIC = "Which number of the business is the model to move?"
METRIC_WHY = (
    "A rung says how a model is run, not what it is worth. The number that its owner watches, and how "
    "far it is to move, goes onto the one page that everybody agrees on."
)


@dataclass(frozen=True)
class Responses:
    """A user's answers by question, and their own choices."""

    answers: Answers
    choice: Choice
    impact_metric: str = ""


def gather(
    file: Path | None,
    options: Mapping[str, str | None],
    choice: Choice,
    weights: Weights,
    *,
    ask: Sequence[str],
    impact_metric: str | None = None,
) -> Responses:
    """Return the responses: a file's answers, overridden by options; the user is asked the rest.

    `options`, `choice` and `impact_metric` are what options say, None where one was not given; `ask`
    are the questions to ask where they have no answer yet, and with them the impact metric.
    """
    filed = read(file, weights) if file else Responses({}, NO_CHOICE)
    typed = {name: value for name, value in options.items() if value is not None}
    answers = {**filed.answers, **understand(typed, weights, "options: ")}
    metric = filed.impact_metric if impact_metric is None else _metric(impact_metric, "options: ")
    unanswered = [name for name in ask if name not in answers]
    if unanswered:
        if not sys.stdin.isatty():
            raise RungError(
                "There is no terminal to ask on, and these questions have no answer: "
                f"{', '.join(unanswered)}.\n"
                f"Answer them with `--answers FILE` or with options such as `--{unanswered[0]} 1`, "
                "or add `--defaults` to have them assumed."
            )
        answers, metric = ask_user(
            unanswered, answers, weights, sys.stdin, sys.stderr, metric=metric
        )
    decided = {name: value for name, value in vars(choice).items() if value is not None}
    return Responses(answers, replace(filed.choice, **decided), metric)


def read(file: Path, weights: Weights) -> Responses:
    """Read a file of answers, or the JSON that `rung assess` wrote."""
    content = load(file)
    where = f"{file}: "
    choice = content.pop("choice", {})
    metric = _metric(content.pop(METRIC, None) or "", where)
    if "answers" in content:  # what `rung assess --format json` wrote
        content = _mapping(content["answers"], f"{where}`answers`")
    # A question of the form that was left blank has no answer.
    answers = {name: value for name, value in content.items() if value is not None}
    return Responses(
        understand(answers, weights, where),
        decide(_mapping(choice, f"{where}`choice`"), where),
        metric,
    )


def load(file: Path) -> dict[str, Any]:
    """Return the mapping that a YAML or JSON file holds."""
    if file.exists() and not file.is_file():
        raise RungError(
            f"{file} is not a file. Name a file of answers; `--scan {file}` measures a repository."
        )
    if file.exists() and file.stat().st_size > LARGEST:
        raise RungError(f"{file} is larger than {LARGEST:,} bytes: no file of answers is so large.")
    return template_answers.read(file, unique=True)


def understand(values: Mapping[str, Any], weights: Weights, where: str = "") -> Answers:
    """Return the names of the answers; a value is a name, a synonym or a number, 0 to 3."""
    for name in values:
        if name not in weights.questions:
            close = get_close_matches(name, weights.questions, 1)
            hint = f" Did you mean `{close[0]}`?" if close else ""
            raise RungError(
                f"{where}there is no question `{name}`.{hint}\n"
                f"The questions are: {', '.join(weights.questions)}."
            )
    return {
        name: _answer(question, values[name], where)
        for name, question in weights.questions.items()
        if name in values
    }


def decide(choices: Mapping[str, Any], where: str = "") -> Choice:
    """Return the user's choices against the arithmetic; refuse what is no game or rung."""
    for name in choices:
        if name not in ("use_case", "game", "start", "target"):
            raise RungError(f"{where}`choice` has no `{name}`. It has use_case, start and target.")
    start, target = choices.get("start"), choices.get("target")
    game = choices.get("use_case", choices.get("game"))  # `game` is its earlier name
    if game is not None and game not in GAMES:
        raise RungError(f"{where}`use_case`: {_shown(game)} is not one of {', '.join(GAMES)}.")
    for name, rung in (("start", start), ("target", target)):
        if rung is not None and (type(rung) is not int or rung not in RUNGS):
            top = RUNGS[-1]
            raise RungError(
                f"{where}`{name}`: {_shown(rung)} is not a rung. Give a number, 0 to {top}."
            )
    return Choice(game, start, target)


def assume(answers: Answers, weights: Weights) -> dict[str, tuple[tuple[str, ...], str]]:
    """Return, for each question without an answer, what is assumed and because of what."""
    assumed: dict[str, tuple[tuple[str, ...], str]] = {}
    known = dict(answers)
    for name in weights.questions:
        if name not in answers:
            rules = (rule for rule in weights.assumed if name in rule.take)
            rule = next(rule for rule in rules if _fits(rule, known, weights))
            known[name] = rule.take[name]
            assumed[name] = (rule.take[name], rule.because)
    return assumed


def ask_user(
    names: Sequence[str],
    answers: Answers,
    weights: Weights,
    typed: TextIO,
    shown: TextIO,
    *,
    metric: str,
) -> tuple[dict[str, tuple[str, ...]], str]:
    """Ask the questions of these names, and for the impact metric where there is none.

    A question that is answered with Enter alone is left unanswered; what is assumed then is shown.

    Returns the answers, with the earlier ones, and the impact metric, empty if it is not known.

    Raises:
        RungError: The input ended before the last question.
    """
    print(terminal.KEYS, file=shown)
    known, position = dict(answers), 0
    questions = [*names, *([] if metric else [METRIC])]
    while position < len(questions):
        name = questions[position]
        if name == METRIC:
            print(f"\n{ASK_METRIC}", file=shown)
            prompt = "     in your own words [Enter: not known yet] "
            reply = _reply(prompt, METRIC_WHY, lambda line: _metric(line, ""), typed, shown)
            if reply and reply != BACK:
                metric = reply
        else:
            number = f"{position + 1}/{len(names)}"
            reply = _ask(number, weights.questions[name], known, weights, typed, shown)
            if reply and reply != BACK:
                known[name] = reply
        position = max(0, position - 1) if reply == BACK else position + 1
    return known, metric


def form(weights: Weights) -> str:
    """Return the questions as an answers file to fill in, in YAML."""
    lines = [
        "# Answers to `rung assess`: a name or its number; `domain` and `customers` take lists."
    ]
    for question in weights.questions.values():
        lines += ["", f"# {question.ask}", *_commented(question.why)]
        for index, answer in enumerate(question.answers):
            meaning = ", ".join(answer.domains) or f"{answer.name}: {answer.says}"
            lines += _commented(f"{index} {meaning}", "#     ")
        lines.append(f"{question.id}:")
    lines += ["", f"# {ASK_METRIC}", *_commented(METRIC_WHY), f"{METRIC}:"]
    return "\n".join(lines) + "\n"


def _commented(text: str, further: str = "#   ") -> list[str]:
    return terminal.wrap(text, WIDTH, "#   ", further)


def _metric(value: Any, where: str) -> str:
    text = value if isinstance(value, str) else ""
    if (value and not text) or len(text) > 200 or not (text or " ").isprintable() or "{" in text:
        raise RungError(
            f"{where}`{METRIC}` takes one line of at most 200 characters, without braces."
        )
    return text.strip()


def _answer(question: Question, value: Any, where: str) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    if isinstance(value, str) and question.several:
        values = [part.strip() for part in value.split(",") if part.strip()]
    if len(values) != 1 and not question.several:
        raise RungError(f"{where}`{question.id}` takes one answer. {_choices(question)}")
    if not values:
        raise RungError(f"{where}`{question.id}` has no answer. {_choices(question)}")
    return tuple(dict.fromkeys(_name(question, value, where) for value in values))


def _name(question: Question, value: Any, where: str) -> str:
    text = str(value) if type(value) in (int, str) else ""
    name = question.named(text)
    if name is not None:
        return name
    near = _nearest(question, text.lower())
    hint = f" Did you mean `{near}`?" if near else ""
    if question.id == "domain" and not hint:
        hint = " If none fits, take the closest by who can be harmed and which law applies."
    raise RungError(
        f"{where}`{question.id}`: {_shown(value)} is not an answer.{hint} {_choices(question)}"
    )


def _nearest(question: Question, text: str) -> str | None:
    """Return the name that was probably meant; none where answers of different shares are near."""
    cutoff = 0.8 if question.strictest else 0.5  # a wrong domain would loosen the advice
    words = get_close_matches(text, [*question.names(), *question.words], 5, cutoff)
    if question.strictest:
        words = [word for word in words if _is_slip(text, word)]
    names = [name for name in map(question.named, words) if name]
    if question.strictest and len({question.answer(name) for name in names}) > 1:
        return None
    return names[0] if names else None


def _is_slip(typed: str, word: str) -> bool:
    """Say whether one letter is wrong, missing, too many or at another place."""
    blocks = SequenceMatcher(None, typed, word, autojunk=False).get_matching_blocks()
    return max(len(typed), len(word)) - sum(block.size for block in blocks) <= 1


def _choices(question: Question) -> str:
    choices = (f"{index} ({', '.join(a.names)})" for index, a in enumerate(question.answers))
    return f"Answer with a number or a name: {', '.join(choices)}."


def _fits(rule: Assumption, known: Answers, weights: Weights) -> bool:
    answers = {**weights.assumed[0].take, **known}
    if rule.game is not None:
        # The game depends on two questions; the others may hold anything.
        filler = {name: (question.answers[0].name,) for name, question in weights.questions.items()}
        if game_of(Shares(weights, {**filler, **answers}), None).played != rule.game:
            return False
    return all(set(answers.get(name, ())) <= set(names) for name, names in rule.where.items())


def _ask(
    number: str, question: Question, known: Answers, weights: Weights, typed: TextIO, shown: TextIO
) -> Any:
    part = question.part.replace("_", " ")
    indent = " " * 5
    lines = ["", *terminal.wrap(f"{number} {part}: {question.ask}", WIDTH, "", indent, shown)]
    for index, answer in enumerate(question.answers):
        lines += terminal.wrap(f"{index}  {answer.says}", WIDTH, indent, f"{indent}   ", shown)
    print("\n".join(lines), file=shown)
    offered = known.get(question.id) or assume(known, weights)[question.id][0]
    numbers = [i for i, a in enumerate(question.answers) if {*offered} & {a.name, *a.domains}]
    several = ", or several with commas between" if question.several else ""
    prompt = f"     0 to 3{several} [Enter: {', '.join(map(str, numbers))}] "

    def understood(line: str) -> tuple[str, ...]:
        return understand({question.id: line}, weights)[question.id] if line else ()

    reply = _reply(prompt, f"{question.why} {_choices(question)}", understood, typed, shown)
    if reply is None:
        raise RungError(
            f"The input ended at the question `{question.id}`.\n"
            "Answer it, or add `--defaults` to have the rest assumed."
        )
    return reply


def _reply(
    prompt: str, why: str, understood: Callable[[str], Any], typed: TextIO, shown: TextIO
) -> Any:
    """Ask until a line is understood, or is BACK; explain at a `?`; return None where the input ended."""
    while True:
        line = _line(prompt, typed, shown)
        text, message = line.strip(), why
        if not line or text == BACK:
            return text or None
        if text != "?":
            try:
                return understood(text)
            except RungError as error:
                message = str(error)
        lines = terminal.wrap(message, WIDTH, " " * 5, " " * 5, shown)
        print(*lines, sep="\n", file=shown)


def _line(prompt: str, typed: TextIO, shown: TextIO) -> str:
    """Read a line; empty at the end of the input. On a terminal `?` and BACK need no Enter, as in `rung new`."""
    if not (typed.isatty() and shown.isatty()):
        print(prompt, end="", file=shown, flush=True)
        return typed.readline()
    from prompt_toolkit import PromptSession
    from prompt_toolkit.application import get_app
    from prompt_toolkit.filters import Condition
    from prompt_toolkit.input import create_input
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
    from prompt_toolkit.output import create_output

    keys, unchanged = KeyBindings(), Condition(lambda: not get_app().current_buffer.text)

    def answer(event: KeyPressEvent) -> None:
        event.app.current_buffer.text = event.data  # stays on the screen
        event.app.exit(result=event.data)

    for key in ("?", BACK):
        keys.add(key, filter=unchanged)(answer)
    session: PromptSession[str] = PromptSession(
        input=create_input(typed), output=create_output(shown), key_bindings=keys
    )
    try:
        return f"{session.prompt(prompt)}\n"
    except EOFError:
        return ""


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise RungError(f"{where} must be a mapping of names to values.")
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
