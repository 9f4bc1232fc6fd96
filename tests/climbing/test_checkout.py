"""A template of this machine is checked out, not cloned, and what comes out is the same."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import copier
import pytest

from rung.core import checkout
from tests.climbing import tiny
from tests.conftest import ROOT

IN_A_NEW_PROCESS = """\
import sys
from pathlib import Path
from tests.climbing import tiny
tiny.fresh(Path(sys.argv[1]), Path(sys.argv[2]), level=1)
prompting = {"questionary", "prompt_toolkit", "pygments"} & sys.modules.keys()
assert not prompting, prompting
from rung.core import copier_import
copier_import.copier(prompts=True)
import questionary
from copier import _main, _user_data
from questionary.prompts.common import Choice
assert _main.unsafe_prompt is questionary.unsafe_prompt
assert _user_data.Choice is Choice
assert callable(_user_data.YamlLexer)
"""


@pytest.fixture
def copiers_clone(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record each clone that Copier makes itself."""
    from copier import _template

    made: list[str] = []
    clone: Callable[..., str] = vars(_template)["clone"]

    def counted(url: str, *more: str, **named: str) -> str:
        made.append(url)
        return clone(url, *more, **named)

    monkeypatch.setattr(_template, "clone", counted)
    return made


def test_copier_clones_nothing(small: Path, tmp_path: Path, copiers_clone: list[str]) -> None:
    tiny.fresh(small, tmp_path / "checked out", level=2)
    assert [] == copiers_clone

    copier.run_copy(
        str(small), tmp_path / "cloned", {"level": 2}, defaults=True, quiet=True, vcs_ref="v0.1.0"
    )

    assert [str(small)] == copiers_clone
    assert tiny.files_of(tmp_path / "cloned") == tiny.files_of(tmp_path / "checked out")


def test_a_commit_without_a_tag_is_recorded_as_copier_does(tmp_path: Path) -> None:
    made_from = tiny.template(tmp_path / "template")
    tiny.write(made_from, {"files/new.txt": "new\n"})
    commit = tiny.commit(made_from)
    plain = tmp_path / "plain"
    copier.run_copy(str(made_from), plain, {}, defaults=True, quiet=True, vcs_ref=commit)

    assert tiny.files_of(plain) == tiny.files_of(tiny.fresh(made_from, tmp_path / "a", commit))


@pytest.mark.parametrize(
    "file, text", [(".gitmodules", ""), ("files/.gitattributes", "*.bin filter=lfs\n")]
)
def test_what_needs_more_than_a_checkout_is_left_to_copier(
    file: str, text: str, tmp_path: Path, copiers_clone: list[str]
) -> None:
    made_from = tiny.template(tmp_path / "template", files={file: text})
    project = tiny.fresh(made_from, tmp_path / "project")

    assert [str(made_from)] == copiers_clone
    assert (project / "ops/zero.py").is_file()


def test_only_the_parts_that_a_render_needs_are_checked_out(tmp_path: Path) -> None:
    parts = "/copier.yml\n/levels/\n/files/\n/library/ ejected\n"
    files = {"levels/parts.txt": parts, "docs/page.md": "page\n", "library/code.py": "CODE = 1\n"}
    made_from = tiny.template(tmp_path / "template", files=files)
    (tmp_path / "out").mkdir()

    (tmp_path / "more").mkdir()

    assert checkout.checked_out(made_from, "v0.1.0", tmp_path / "out")
    assert checkout.checked_out(made_from, "v0.1.0", tmp_path / "more", {"ejected": True})
    few, more = ({path.name for path in (tmp_path / one).iterdir()} for one in ("out", "more"))
    assert {".git", "copier.yml", "files", "levels"} == few
    assert {"library"} == more - few


def test_nothing_of_rungs_template_is_left_out_that_it_names() -> None:
    """A link in templates/ leads to machinery/."""
    lines = (ROOT / "levels/parts.txt").read_text("utf-8").splitlines()
    parts = [line.split()[0] for line in lines]
    links = [path for path in (ROOT / "templates").rglob("*") if path.is_symlink()]
    reached = {path.resolve().relative_to(ROOT).parts[0] for path in links}

    assert {"/copier.yml", "/levels/", "/templates/"} <= set(parts)
    assert reached <= {part.strip("/") for part in parts}


def test_prompts_are_imported_when_there_is_something_to_ask(small: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IN_A_NEW_PROCESS, str(small), str(tmp_path / "project")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == done.returncode, done.stderr
