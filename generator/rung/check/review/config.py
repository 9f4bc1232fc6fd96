"""What a team states about its repository: the use case, waivers and attestations in rung.toml."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from rung.check.review import data_files
from rung.check.review.content import Content
from rung.check.review.data_files import Node
from rung.check.review.findings import Statement
from rung.check.review.policy import Policy
from rung.errors import RungError
from rung.levels.ladder import GAMES, Level

FILE = "rung.toml"
ANSWERS = ".copier-answers*.yml"
MAX_LENGTH = 80  # characters of a template's version
KINDS = {"waivers": "waiver", "attestations": "attestation"}
KEYS = {"waiver": {"reason", "until"}, "attestation": {"reason", "link", "until"}}


@dataclass(frozen=True)
class Config:
    """What a team states about its repository."""

    game: tuple[str, str]  # the game, and where it comes from
    statements: Mapping[str, Statement]  # waivers and attestations by capability
    notes: Sequence[str]  # remarks on statements that do not count
    template_version: str  # tag or commit of the template in Copier's answers; empty without one
    # The answers to Rung's template; None if Rung did not make the repository.
    answers: Mapping[str, str] | None
    answers_from: str = ""  # their file; empty without one


def read(content: Content, levels: Sequence[Level], today: date, policy: Policy) -> Config:
    """Read rung.toml and the answers to Copier.

    Raises:
        RungError: rung.toml does not parse, or an entry lacks a reason, a link or a last day.
    """
    document = _document(content)
    known = {name for level in levels for name in level.capabilities}
    statements: dict[str, Statement] = {}
    notes: list[str] = []
    for table, kind in KINDS.items():
        for name, node in document.get(table).entries:
            statement = _statement(kind, str(name), node, known)
            what = f"The {kind} of `{name}` in {FILE}"
            if statement.until < today:
                notes.append(f"{what} expired on {statement.until}.")
                continue
            if refused := getattr(policy, table).refusal(str(name), statement, today):
                notes.append(f"{what} does not count: {refused}.")
                # A waiver that counts stands before an attestation that does not.
                statements.setdefault(str(name), replace(statement, refused=refused))
            else:
                statements[str(name)] = statement
    copier = [
        ({str(name): node.value or "" for name, node in document.entries}, path)
        for path, document in content.documents(ANSWERS)
    ]
    rung = next(
        ((answers, path) for answers, path in copier if answers.get("use_case") in GAMES[1:]), None
    )
    versions = (answers["_commit"][:MAX_LENGTH] for answers, _ in copier if answers.get("_commit"))
    answers, source = rung or (None, "")
    version = next(versions, "")
    return Config(_game(document, rung), statements, notes, version, answers, source)


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
        raise RungError(
            f"{where}: there is no capability of that name. `rung levels` has them; "
            "those of your organisation need `--capabilities`."
        )
    fields = {str(key): below.value or "" for key, below in node.entries}
    for key in sorted(KEYS[kind]):
        if not fields.get(key, "").strip():
            raise RungError(
                f"{where}: `{key}` is missing. A {kind} needs {', '.join(sorted(KEYS[kind]))}."
            )
    try:
        until = date.fromisoformat(fields["until"][:10])
    except ValueError as error:
        raise RungError(f"{where}: `until` is not a day such as 2027-06-30.") from error
    return Statement(kind, fields["reason"], until, fields.get("link", ""))


def _game(document: Node, rung: tuple[Mapping[str, str], str] | None) -> tuple[str, str]:
    for key in ("use_case", "game"):  # `game` is what the docs called it before
        node = document.get(key)
        if not node:
            continue
        if node.value not in GAMES[1:]:
            raise RungError(
                f"{FILE}: `{key}` is {node.value!r}, and may be {' or '.join(GAMES[1:])}."
            )
        return str(node.value), FILE
    if rung:
        return rung[0]["use_case"], rung[1]
    return "velocity", "assumed; `--use-case governance` judges by the other"
