"""The people who developed a version: of every commit that made its files.

Commits count from the last ones that somebody approved; where only the autopilot has changed
something since, from the beginning. Two spellings of a name or an address are one person.
"""

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rung_governance.approval import signatures
from rung_ops.autopilot.commits import IDENTITY
from rung_ops.errors import VersionError
from rung_ops.project import current
from rung_ops.system import git


def marks(text: str) -> frozenset[str]:
    """Return what a person is known by: `Ada Lovelace <ada@example.org>` by name and e-mail.

    Case, accents, order and punctuation do not make another name; case, dots and what follows a
    plus sign do not make another address.
    """
    parts = (part.strip() for part in re.split(r"[<>();/]", text))
    return frozenset(mark for part in parts if (mark := _mark(part)))


def known_by(texts: Iterable[str], together: Iterable[Iterable[str]] = ()) -> frozenset[str]:
    """Collect what people are known by.

    Args:
        texts: of persons.
        together: principals that belong to one person, as signatures.same_person() lists them.
    """
    known = frozenset(mark for text in texts for mark in marks(text))
    groups = [frozenset(mark for each in group for mark in marks(each)) for group in together]
    for _ in groups:  # a group may lead to another
        for group in groups:
            known |= group if known & group else frozenset()
    return known


def _mark(part: str) -> str:
    plain = unicodedata.normalize("NFKD", part).casefold()
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    name, at, host = plain.partition("@")
    if at:
        return f"{name.partition('+')[0].replace('.', '')}@{host.strip('.')}"
    return " ".join(sorted(re.findall(r"\w+", plain)))


# What a model is made from, below the model's folder and below the repository's.
OWN = (
    *("src", "pipeline", "data", "queries", "params.toml", "dvc.yaml", "dvc.lock"),
    *("governance/dvc.yaml", "ops/store.toml", "ops/warehouse.toml"),
)
SHARED = (*OWN[1:2], *OWN[-2:], "vendor", "machinery", "pyproject.toml", "uv.lock")
AUTOPILOT = marks(f"{IDENTITY['GIT_AUTHOR_NAME']} <{IDENTITY['GIT_AUTHOR_EMAIL']}>")
# What the autopilot commits: rows that were served, and what its pipeline has made of them.
AUTOPILOTS = re.compile(r"data/incoming/.+|(?!src/)(.+/)?dvc\.lock")
GOOD = "G"  # git's word for a signature of an allowed signer
# Settings of this clone or user that could hide a person, or count another key's signature.
SETTINGS = (
    *("trailer.separators=:", "gpg.ssh.program=ssh-keygen", "gpg.program=false"),
    *("gpg.openpgp.program=false", "gpg.x509.program=false", "log.showSignature=false"),
)
# As .mailmap maps them, and as committed: editing .mailmap cannot hide a developer.
PERSONS = "%aN <%aE>%x1f%cN <%cE>%x1f%an <%ae>%x1f%cn <%ce>"
FIELDS = f"%H%x1f{PERSONS}%x1f%(trailers:key=Co-authored-by,valueonly,separator=%x1e)"


@dataclass(frozen=True)
class Commit:
    """A commit that made a version."""

    id: str  # its hash
    people: tuple[str, ...]  # author, committer, co-authors and signer, without the autopilot
    signed: bool  # whether a key of governance/allowed_signers has signed it
    odd: tuple[str, ...] = ()  # files that it changed as the autopilot, which never changes such


def commits(commit: str, approved: Iterable[str] = (), root: Path | None = None) -> list[Commit]:
    """List the commits that made a version, since those of other versions that were approved.

    Raises:
        VersionError: git does not know the commit, or knows only the end of the history.
    """
    root = root or current().root
    if _git(root, "rev-parse", "--is-shallow-repository").strip() == "true":
        raise VersionError(
            "the clone is shallow, so who developed it is unknown: `git fetch --unshallow`"
        )
    before = [each for each in approved if each != commit and _leads_to(root, each, commit)]
    made = list(_listed(root, commit, before))
    if before and not any(each.people for each in made):
        made = list(_listed(root, commit, []))
    return made


def _listed(root: Path, commit: str, before: list[str]) -> Iterator[Commit]:
    shared = os.path.relpath(current().repository, root) if root == current().root else "."
    log = _git(
        root,
        *("-c", f"gpg.ssh.allowedSignersFile={signatures.signers_file(root)}"),
        *(word for setting in SETTINGS for word in ("-c", setting)),
        *("log", "--full-history", "--encoding=UTF-8"),
        *(f"--format={FIELDS}%x1f%G?%x1f%GS%x1d", commit, *(f"^{each}" for each in before)),
        *("--", *OWN, *(f"{shared}/{each}" for each in SHARED)),
    )
    for text in filter(None, (each.strip("\n") for each in log.split("\x1d"))):
        identity, author, *persons, others, state, signer = text.split("\x1f")
        named = [author, *persons, *others.split("\x1e"), *([signer] if state == GOOD else [])]
        people = dict.fromkeys(each for each in named if each and not marks(each) & AUTOPILOT)
        odd = _odd(root, identity) if marks(author) & AUTOPILOT else ()
        yield Commit(identity, tuple(people), state == GOOD, tuple(odd))


def _odd(root: Path, commit: str) -> Iterator[str]:
    above = _git(root, "rev-parse", "--show-prefix")  # git lists paths from the top
    for path in _git(root, "show", "--name-only", "--format=", "-z", commit).split("\0"):
        own = path.removeprefix(above) if path.startswith(above) else ""
        if path and not AUTOPILOTS.fullmatch(own):
            yield path


def _leads_to(root: Path, before: str, commit: str) -> bool:
    try:
        _git(root, "merge-base", "--is-ancestor", before, commit)
    except VersionError:
        return False
    return True


def _git(root: Path, *arguments: str) -> str:
    try:
        return git.output(root, *git.NO_GRAPH, *arguments, variables=git.PLAIN)
    except git.GitError as error:
        raise VersionError(f"git does not tell who developed it: {error}") from error
