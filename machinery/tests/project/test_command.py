"""The command `rung-ops`: what its verbs name exists, and it says what is wrong in a sentence."""

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from machinery.tests.conftest import Capture, Patch
from rung_ops import __main__ as command
from rung_ops.addons import Verb
from rung_ops.command import verb
from rung_ops.errors import NoProjectError
from rung_ops.project import Project, active_addons, current, paths
from rung_ops.verbs import VERBS

ALL = {
    **VERBS,
    **{
        name: verb
        for each in active_addons.installed().values()
        for name, verb in each.verbs.items()
    },
}


def test_every_verb_that_the_project_types_exists() -> None:
    files = [
        path
        for name in ("ops", "deploy", ".github", "governance")
        for path in (current().root / name).rglob("*")
        if path.suffix in (".toml", ".yaml", ".yml")
    ] + [*current().root.glob("*.yaml"), *current().root.glob("*Dockerfile*")]
    typed = {
        text
        for path in files
        for text in re.findall(r"rung-ops((?: [a-z][a-z-]*){1,2})", path.read_text("utf-8"))
    }

    assert typed
    for text in typed:
        parts = text.split()
        assert parts[0] in ALL or " ".join(parts) in ALL, text


def test_an_unknown_verb_is_named_with_those_that_exist(capsys: Capture) -> None:
    assert command.main(["trian"]) == command.USAGE

    printed = capsys.readouterr().err
    assert printed.startswith("`rung-ops trian` does not exist; did you mean `track`?\n")
    assert all(name in printed for name in VERBS)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_number_that_is_none_is_refused(value: str, capsys: Capture) -> None:
    @verb("rung-ops try")
    @click.option("--rate", type=float)
    @click.option("--share", type=click.FloatRange(0), multiple=True)
    @click.argument("most", type=float, default=1.0)
    def typed(**chosen: object) -> None:
        pytest.fail(f"it ran with {chosen}")

    for words in (["--rate", value], ["--share", "1", "--share", value], ["--", value]):
        assert typed(words) == command.USAGE
        assert f"{value} is not" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("obj", {"object-store"}),
        ("features ", {"materialize"}),
        ("features --", {"--json", "--help"}),
        ("features materialize --a", {"--as-of"}),
        ("object-store ", {"list", "pull"}),
        ("slices --", {"--help"}),
    ],
)
def test_a_shell_completes_verbs_and_their_options(
    monkeypatch: Patch, capsys: Capture, typed: str, offered: set[str]
) -> None:
    line = f"rung-ops {typed}"
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(line.count(" ")))
    monkeypatch.setenv(command.COMPLETE, "bash_complete")

    assert command.main([]) == command.OK
    printed = capsys.readouterr().out.splitlines()
    assert {entry.partition(",")[2] for entry in printed} == offered


@pytest.mark.parametrize("name", ALL)
def test_a_verb_explains_itself_and_does_nothing(capsys: Capture, name: str) -> None:
    with contextlib.suppress(SystemExit):  # as argparse ends
        assert command.main([*name.split(), "--help"]) == command.OK

    assert capsys.readouterr().out.lower().startswith("usage: ")


@pytest.mark.parametrize("name", ["slices", "policies"])
def test_an_argument_that_a_verb_does_not_take_is_named(capsys: Capture, name: str) -> None:
    assert command.main([name, "--force", "x"]) == command.USAGE

    assert capsys.readouterr().err == (
        f"usage: rung-ops {name}\nIt takes no arguments, got: --force x\n"
    )


def test_a_package_that_is_missing_is_named_with_its_extra(
    monkeypatch: Patch, capsys: Capture
) -> None:
    def missing() -> int:
        raise ModuleNotFoundError("No module named 'onnx'", name="onnx")

    monkeypatch.setattr(command, "missing", missing, raising=False)
    monkeypatch.setitem(VERBS, "gate", Verb("rung_ops.__main__:missing", "release", ""))

    assert command.main(["gate"]) == command.USAGE
    assert capsys.readouterr().err == (
        "`rung-ops gate` needs the package `onnx`, which is not installed: run `uv sync`, or add "
        "the extra `release` of rung-ops.\n"
    )


def test_a_folder_outside_of_a_project_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoProjectError, match=re.escape(str(tmp_path))):
        Project.find(tmp_path)


@pytest.mark.parametrize(
    ("expected", "refused"), [("0.2.7", False), ("0.3.0", True), ("1.0", True)]
)
def test_another_major_version_is_refused(
    monkeypatch: Patch, capsys: Capture, expected: str, refused: bool
) -> None:
    monkeypatch.setattr(paths, "__version__", "0.2.0")
    monkeypatch.setattr(Project, "table", lambda _: {"machinery": expected})
    monkeypatch.setattr(command, "nothing", lambda: 0, raising=False)
    monkeypatch.setitem(VERBS, "gate", Verb("rung_ops.__main__:nothing", "release", ""))

    assert command.main(["gate"]) == (command.USAGE if refused else command.OK)

    output = capsys.readouterr().err
    assert (f"rung-ops {expected}" in output) == refused


def test_output_that_no_one_reads_to_the_end_is_not_an_error() -> None:
    """As in `poe lineage | head`: the reader is gone before the verb prints."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "rung_ops", "--help"],
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write)

    assert done.stderr == b""


PRINTS_MUCH = {
    "a verb": (
        "import sys; from rung_ops import __main__ as command\n"
        "def much(): print('x' * 1_000_000)\n"
        "command._run = lambda arguments: much()\n"
        "sys.exit(command.main())\n"
    ),
    "a stage": (
        "from rung_ops.stages import stage\n@stage\ndef much(): print('x' * 1_000_000)\nmuch()\n"
    ),
}


@pytest.mark.parametrize("code", PRINTS_MUCH.values(), ids=PRINTS_MUCH)
def test_what_prints_much_ends_quietly(code: str) -> None:
    command_line = f'"{sys.executable}" -c "$CODE" | head -c 1'
    done = subprocess.run(
        ["bash", "-c", command_line],
        env=os.environ | {"CODE": code},
        capture_output=True,
        check=False,
    )

    assert (done.stdout, done.stderr) == (b"x", b"")
