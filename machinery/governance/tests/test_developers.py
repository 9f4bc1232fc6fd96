"""A developer is a person: whoever made a file of a version, however they are spelled."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest

from machinery.governance.tests.conftest import Patch
from machinery.governance.tests.signing import ADA, OTTO, VERA, Desk
from machinery.tests.projects import moved
from rung_governance.approval import developers, plan, signatures, signed_approval, validation

SOURCE = {"src/credit/features.py": "AGE = 1\n"}


def refused(desk: Desk, validator: str = VERA) -> str:
    """Have a version of HEAD approved; return why it was refused, empty if it was not."""
    version = desk.version()
    if desk.approve(version, validator) == 0:
        return ""
    desk.record(version, validator)
    return "; ".join(validation.person_objections(version, validator.partition("<")[2][:-1]))


@pytest.mark.parametrize(
    "spelling",
    [
        "Vera Valid <vera@example.org>",
        "Vera Valid <VERA@Example.org>",
        "V. <v.era@example.org>",
        "somebody <vera+work@example.org>",
        "VALID, Véra <private@home.example>",
    ],
)
@pytest.mark.parametrize("role", ["author", "committer", "co-author"])
@pytest.mark.tried(
    "Validate your own model, by another spelling, address, version or settings of a clone, too",
    "refused: one person",
)
@pytest.mark.tried(
    "Put a commit of another person on top",
    "refused: all authors, committers and co-authors count",
)
def test_who_developed_it_does_not_validate_it(desk: Desk, spelling: str, role: str) -> None:
    if role == "author":
        desk.commit(spelling, SOURCE, committer=ADA)
    elif role == "committer":
        desk.commit(ADA, SOURCE, committer=spelling)
    else:
        desk.commit(ADA, SOURCE, message=f"Go\n\nCo-authored-by: {spelling}")
    desk.commit(ADA)  # an empty commit, so that HEAD says another
    desk.commit(OTTO, {"docs/use_case.md": "# Use\n"})

    assert "vera@example.org developed the model" in refused(desk)


def test_a_name_of_the_mailmap_is_the_same_person(desk: Desk) -> None:
    desk.commit("nightowl <owl@night.example>", SOURCE, committer=ADA)
    assert refused(desk) == ""
    desk.commit(ADA, {".mailmap": "Vera Valid <vera@example.org> <owl@night.example>\n"})
    assert "developed the model" in refused(desk)


def test_nobody_takes_his_own_commits_out_by_an_approval_of_his_own(desk: Desk) -> None:
    own = desk.commit(VERA, SOURCE)
    desk.commit(ADA, {"src/credit/model.py": "C = 2\n"})
    path = validation.approval_path(desk.version())
    path = path.with_name(path.name.replace("-1.", "-99."))
    path.parent.mkdir(parents=True)
    about = {"model": path.name.removesuffix("-99.approval.json"), "version": "99"}
    signed_approval.write(path, about | {"git_commit": own}, desk.key(VERA))

    assert "developed the model" in refused(desk)


@pytest.mark.parametrize("way", ["a line", "a line in quotes", "a key"])
def test_addresses_of_one_line_or_one_key_are_one_person(desk: Desk, way: str) -> None:
    desk.commit("nightowl <owl@night.example>", SOURCE, committer=ADA)
    path = desk.folder / signatures.SIGNERS
    text = path.read_text()
    if way == "a line":
        desk.allow(VERA, names="owl@night.example")
    elif way == "a line in quotes":
        names = '"vera@example.org,owl@night.example" '
        path.write_text(text.replace("vera@example.org ", names))
    else:
        path.write_text(
            f'{text}owl@night.example namespaces="git" ssh-ed25519 {text.split()[-1]}\n'
        )

    assert "developed the model" in refused(desk)


@pytest.mark.tried("Commit code in the autopilot's name", "refused: it changes rows only")
def test_the_autopilot_only_brings_rows(desk: Desk) -> None:
    robot = "autopilot <autopilot@localhost>"
    desk.commit(robot, {"data/incoming/served-1.parquet.dvc": "outs: []\n", "dvc.lock": "{}\n"})
    assert refused(desk) == ""

    path = "src/credit/data/incoming/dvc.lock"
    desk.commit(robot, {path: "1\n"})
    assert f"changes {path}, which the autopilot never does" in refused(desk)


def forge_graph(desk: Desk) -> None:
    """Let the commit graph say that HEAD has no parent."""
    desk.git("commit-graph", "write", "--reachable")
    path = desk.folder / ".git/objects/info/commit-graph"
    graph = bytearray(path.read_bytes())
    chunks = [graph[at : at + 12] for at in range(8, 8 + 12 * graph[6], 12)]
    at = {bytes(each[:4]): int.from_bytes(each[4:]) for each in chunks}
    head = graph.index(bytes.fromhex(desk.git("rev-parse", "HEAD")), at[b"OIDL"])
    parent = at[b"CDAT"] + 36 * ((head - at[b"OIDL"]) // 20) + 20
    graph[parent : parent + 4] = (0x70000000).to_bytes(4)
    path.chmod(0o644)
    path.write_bytes(graph[:-20] + hashlib.sha1(graph[:-20]).digest())


@pytest.mark.parametrize("way", ["separators of trailers", "commit graph"])
def test_a_clone_hides_no_developer(desk: Desk, way: str) -> None:
    desk.commit(ADA, SOURCE, message=f"Go\n\nCo-authored-by: {VERA}")
    desk.commit(ADA, {"src/credit/model.py": "C = 2\n"})
    if way == "commit graph":
        forge_graph(desk)
        assert desk.git("rev-list", "--count", "HEAD") == "1"
    else:
        desk.git("config", "trailer.separators", "=")

    assert "developed the model" in refused(desk)


def test_who_trained_it_does_not_validate_it(desk: Desk) -> None:
    version = desk.version()
    version.tags["git_trainer"] = "Vera <v.e.r.a@example.org>"
    desk.record(version)

    (objection,) = validation.record_objections(version)
    assert "Vera Valid <vera@example.org> developed the model" in objection


def test_what_an_approved_version_held_is_not_counted_again(desk: Desk) -> None:
    desk.allow(VERA, OTTO)
    desk.commit(VERA, SOURCE)
    assert "developed the model" in refused(desk)
    first = desk.version()
    assert desk.approve(first, OTTO) == 0
    robot = "autopilot <autopilot@localhost>"
    desk.commit(robot, {"data/incoming/served-1.parquet.dvc": "outs: []\n"})
    assert "developed the model" in refused(desk)

    desk.commit(ADA, {"src/credit/model.py": "C = 2\n"})
    assert refused(desk) == ""

    for file in validation.approval_path(first).parent.glob("*.sig"):
        file.unlink()
    assert "developed the model" in refused(desk)


def test_if_commits_are_signed_a_text_is_not_an_author(desk: Desk) -> None:
    plan.path(desk.folder).write_text("approval: {signed_commits: true}\n")
    path = desk.folder / signatures.SIGNERS
    line = signatures.line_for(desk.key(ADA), "ada@example.org").replace("rung-approval", "git")
    path.write_text(path.read_text() + line + "\n")
    assert "is not signed, so that who made it is only a text" in refused(desk)

    shutil.rmtree(desk.folder / ".git")
    desk.git("init", "-q")
    desk.git("config", "gpg.format", "ssh")
    desk.git("config", "user.signingKey", desk.key(ADA))
    desk.git("config", "commit.gpgSign", "true")
    desk.commit(ADA)
    assert refused(desk) == ""

    desk.commit(OTTO, SOURCE)  # Ada's key, and another's name
    path.write_text(path.read_text().replace('namespaces="git"', 'namespaces="git,rung-approval"'))
    assert "ada@example.org developed the model" in refused(desk, ADA)


ANYTHING = """#!/bin/sh
case "$*" in
*find-principals*) echo ada@example.org ;;
*) echo 'Good "git" signature for ada@example.org with ED25519 key SHA256:abc' ;;
esac
"""


@pytest.mark.tried(
    "Let git count any signature of a commit, by a program in your git settings",
    "refused with `signed_commits: true` in the plan",
)
def test_a_program_of_this_clone_signs_for_nobody(desk: Desk) -> None:
    program = desk.folder.parent / "anything"
    program.write_text(ANYTHING)
    program.chmod(0o755)
    desk.git("config", "gpg.ssh.program", str(program))
    head = desk.git("cat-file", "commit", "HEAD").partition("\n\n")
    kind = "SSH SIGNATURE-----"
    signed = f"{head[0]}\ngpgsig -----BEGIN {kind}\n abc\n -----END {kind}\n\nGo\n"
    raw = desk.folder.parent / "commit"
    raw.write_text(signed)
    made = desk.git("hash-object", "-t", "commit", "-w", str(raw))
    desk.git("reset", "-q", "--hard", made)
    plan.path(desk.folder).write_text("approval: {signed_commits: true}\n")
    allowed = f"gpg.ssh.allowedSignersFile={desk.folder / signatures.SIGNERS}"
    assert desk.git("-c", allowed, "log", "-1", "--format=%G?") == "G"

    assert "is not signed, so that who made it is only a text" in refused(desk)


@pytest.mark.tried("Hide the history in a shallow clone", "refused")
def test_a_shallow_clone_does_not_tell_who_developed_it(
    desk: Desk, tmp_path: Path, monkeypatch: Patch
) -> None:
    desk.commit(ADA, SOURCE)
    version: Any = desk.version()
    assert desk.approve(version) == 0
    desk.commit(VERA)
    clone = tmp_path / "clone"
    desk.git("clone", "-q", "--depth", "1", f"file://{desk.folder}", str(clone))
    moved(monkeypatch, validation, root=clone)

    (objection,) = validation.objections(version)
    assert "`git fetch --unshallow`" in objection
    assert validation.objections(version, answered=True) == []


def test_who_shares_a_part_of_a_name_or_of_an_address_is_another_person() -> None:
    byron = developers.marks("Ada Byron <ada@example.com>")
    assert not developers.marks("Ada Lovelace <ada@example.org>") & byron
    assert not developers.marks("")
