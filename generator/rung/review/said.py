"""What a team says of its repository: the game it plays, waivers and attestations in rung.toml."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from rung.errors import RungError
from rung.levels import GAMES, Level
from rung.review import data_files
from rung.review.content import Content
from rung.review.data_files import Node
from rung.review.findings import Word

FILE = "rung.toml"
ANSWERS = ".copier-answers*.yml"
LONGEST = 80  # characters of a template's version
KINDS = {"waivers": "waiver", "attestations": "attestation"}
KEYS = {"waiver": {"reason", "until"}, "attestation": {"reason", "link", "until"}}


@dataclass(frozen=True)
class Said:
    """What a team says.

    Attributes:
        game: that it plays, and how that is known.
        of: a capability by name, what is said of it.
        notes: what has expired.
        template_version: the tag or commit of the template that Copier notes; empty without one.
    """

    game: tuple[str, str]
    of: Mapping[str, Word]
    notes: Sequence[str]
    template_version: str


def read(content: Content, levels: Sequence[Level], today: date) -> Said:
    """Read rung.toml and the answers that a project of Rung's was made with.

    Raises:
        RungError: rung.toml does not parse, or an entry lacks a reason, a link or an expiry.
    """
    document = _document(content)
    known = {name for rung in levels for name in rung.capabilities}
    of: dict[str, Word] = {}
    notes: list[str] = []
    for table, kind in KINDS.items():
        entries = document.get(table)
        for name, node in entries.entries if entries else []:
            word = _word(kind, str(name), node, known)
            if word.until < today:
                notes.append(f"The {kind} of `{name}` in {FILE} expired on {word.until}.")
            else:
                of[str(name)] = word
    return Said(_game(content, document), of, notes, _template_version(content))


def _document(content: Content) -> Node:
    if FILE not in content.files.names.lower:
        return Node(0)
    text = content.text(FILE)
    try:
        return data_files.read(FILE, text or "")[0]
    except data_files.UnreadableError as error:
        raise RungError(f"{FILE} does not parse as TOML ({error}). Correct it.") from error


def _word(kind: str, name: str, node: Node, known: set[str]) -> Word:
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
    return Word(kind, given["reason"], until, given.get("link", ""))


def _game(content: Content, document: Node) -> tuple[str, str]:
    node = document.get("game")
    if node is not None:
        if node.value not in GAMES[1:]:
            raise RungError(
                f"{FILE}: `game` is {node.value!r}, and may be {' or '.join(GAMES[1:])}."
            )
        return str(node.value), FILE
    for path in content.files.find(ANSWERS):
        for answers in content.data(path):
            answered = answers.get("use_case")
            if answered and answered.value in GAMES[1:]:
                return str(answered.value), path
    return "velocity", "assumed; `--game governance` judges by the other"


def _template_version(content: Content) -> str:
    for path in content.files.find(ANSWERS):
        for answers in content.data(path):
            noted = answers.get("_commit")
            if noted and noted.value:
                return noted.value[:LONGEST]
    return ""
