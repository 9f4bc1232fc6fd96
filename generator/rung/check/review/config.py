"""What a team states of its repository: the game it plays, waivers and attestations in rung.toml."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from rung.check.review import data_files
from rung.check.review.content import Content
from rung.check.review.data_files import Node
from rung.check.review.findings import Statement
from rung.errors import RungError
from rung.levels.ladder import GAMES, Level

FILE = "rung.toml"
ANSWERS = ".copier-answers*.yml"
LONGEST = 80  # characters of a template's version
KINDS = {"waivers": "waiver", "attestations": "attestation"}
KEYS = {"waiver": {"reason", "until"}, "attestation": {"reason", "link", "until"}}


@dataclass(frozen=True)
class Config:
    """What a team states.

    Attributes:
        game: that it plays, and how that is known.
        statements: by the name of a capability.
        notes: what has expired.
        template_version: the tag or commit of the template that Copier notes; empty without one.
        answers: that a project of Rung's was made with; None of any other repository.
    """

    game: tuple[str, str]
    statements: Mapping[str, Statement]
    notes: Sequence[str]
    template_version: str
    answers: Mapping[str, str] | None


def read(content: Content, levels: Sequence[Level], today: date) -> Config:
    """Read rung.toml and the answers that a project of Rung's was made with.

    Raises:
        RungError: rung.toml does not parse, or an entry lacks a reason, a link or an expiry.
    """
    document = _document(content)
    known = {name for rung in levels for name in rung.capabilities}
    statements: dict[str, Statement] = {}
    notes: list[str] = []
    for table, kind in KINDS.items():
        entries = document.get(table)
        for name, node in entries.entries if entries else []:
            statement = _statement(kind, str(name), node, known)
            if statement.until < today:
                notes.append(f"The {kind} of `{name}` in {FILE} expired on {statement.until}.")
            else:
                statements[str(name)] = statement
    noted = list(_noted(content))
    ours = next(
        ((answers, path) for answers, path in noted if answers.get("use_case") in GAMES[1:]), None
    )
    versions = (answers["_commit"][:LONGEST] for answers, _ in noted if answers.get("_commit"))
    return Config(_game(document, ours), statements, notes, next(versions, ""), ours and ours[0])


def _document(content: Content) -> Node:
    if FILE not in content.files.lower:
        return Node(0)
    text = content.text(FILE)
    try:
        return data_files.read(FILE, text or "")[0]
    except data_files.UnreadableError as error:
        raise RungError(f"{FILE} does not parse as TOML ({error}). Correct it.") from error


def _statement(kind: str, name: str, node: Node, known: set[str]) -> Statement:
    where = f"{FILE}, [{kind}s.{name}]"
    if name not in known:
        raise RungError(f"{where}: there is no capability of that name. `rung levels` has them.")
    given = {str(key): below.value or "" for key, below in node.entries}
    for key in sorted(KEYS[kind]):
        if not given.get(key, "").strip():
            raise RungError(
                f"{where}: `{key}` is missing. A {kind} needs {', '.join(sorted(KEYS[kind]))}."
            )
    try:
        until = date.fromisoformat(given["until"][:10])
    except ValueError as error:
        raise RungError(f"{where}: `until` is not a day such as 2027-06-30.") from error
    return Statement(kind, given["reason"], until, given.get("link", ""))


def _game(document: Node, ours: tuple[Mapping[str, str], str] | None) -> tuple[str, str]:
    node = document.get("game")
    if node is not None:
        if node.value not in GAMES[1:]:
            raise RungError(
                f"{FILE}: `game` is {node.value!r}, and may be {' or '.join(GAMES[1:])}."
            )
        return str(node.value), FILE
    if ours:
        return ours[0]["use_case"], ours[1]
    return "velocity", "assumed; `--game governance` judges by the other"


def _noted(content: Content) -> Iterator[tuple[dict[str, str], str]]:
    """Return the answers of any Copier template, and the file of each."""
    for path in content.files.find(ANSWERS):
        for document in content.data(path):
            yield {str(name): node.value or "" for name, node in document.entries}, path
