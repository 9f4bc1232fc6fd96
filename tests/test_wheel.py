"""An installed package does all that a clone does, without a network."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from rung.levels import template
from tests.command import git, rung
from tests.conftest import ROOT, TEMPLATE_PATHS, files_of

pytestmark = pytest.mark.slow
UV = os.environ.get("UV") or shutil.which("uv") or "uv"


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, by way of the source distribution, as a release does."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([UV, "build", "--quiet", "--out-dir", folder, ROOT], check=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="session")
def offline() -> list[str]:
    """Return what to put before a command to cut it off from every network."""
    cut = ["unshare", "--net", "--map-root-user"]
    if shutil.which(cut[0]) is None:
        pytest.skip("`unshare` is not installed, so nothing can be cut off from the network")
    tried = subprocess.run([*cut, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"nothing can be cut off from the network here: {tried.stderr.strip()}")
    return cut


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel with the locked packages into an empty environment; return its `rung`."""
    folder = tmp_path_factory.mktemp("installed")
    requirements = folder / "requirements.txt"
    export = ["export", "--quiet", "--frozen", "--no-dev", "--no-emit-project"]
    subprocess.run(
        [UV, *export, "--output-file", str(requirements)],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    for command in (
        ["venv", "--python", sys.executable, "venv"],
        ["pip", "install", "--python", "venv", "-r", str(requirements)],
        ["pip", "install", "--offline", "--python", "venv", "--no-deps", str(wheel)],
    ):
        subprocess.run([UV, *command], cwd=folder, env=environment, check=True, capture_output=True)
    return folder / "venv/bin/rung"


@pytest.fixture
def alone(installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Alone":
    """Use the installed command with an empty home."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.delenv("RUNG_CACHE_DIR", raising=False)
    return Alone(installed, [], tmp_path)


@pytest.fixture
def cut_off(alone: "Alone", offline: list[str]) -> "Alone":
    """Use the installed command with an empty home and no network."""
    return Alone(alone.program, offline, alone.place)


class Alone:
    """The installed command, away from the clone."""

    def __init__(self, program: Path, before: list[str], directory: Path) -> None:
        self.program, self.before, self.place = program, before, directory

    def __call__(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run it in a folder that is not the repository."""
        command = [*self.before, str(self.program), *map(str, arguments)]
        return rung(*command[1:], cwd=self.place, program=Path(command[0]))

    def new(self, name: str, *arguments: str) -> Path:
        done = self("new", name, "--defaults", *arguments)
        assert done.returncode == 0, done.stderr
        return self.place / name


def test_the_wheel_carries_the_template_and_nothing_of_a_cache(wheel: Path) -> None:
    """What git tracks is what is carried, dot files too; untracked files are for the next commit."""
    names = set(zipfile.ZipFile(wheel).namelist())
    carried = {name.removeprefix("rung/template/") for name in names if "/template/" in name}
    tracked = git(ROOT, "ls-files", "-z", "--cached", "--others", *TEMPLATE_PATHS).split("\0")
    wanted = {path for path in tracked if path and (ROOT / path).is_file()} | {"CHANGELOG.md"}
    # The template links to files; a wheel has no links, and carries these in their place.
    links = [path for path in (ROOT / "templates").rglob("*") if path.is_symlink()]
    for link in (path.relative_to(ROOT).as_posix() for path in links):
        target = (ROOT / link).resolve().relative_to(ROOT).as_posix()
        inside = {path for path in wanted if path == target or path.startswith(f"{target}/")}
        wanted = wanted - {link} | {link + path.removeprefix(target) for path in inside}
    wanted = {path for path in wanted if not path.startswith("machinery/")}

    assert (
        wanted - {path for path in wanted if "__pycache__" in path or "_cache/" in path} == carried
    )
    assert any(Path(name).name.startswith(".") for name in carried)
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


@pytest.mark.parametrize("game", ["velocity", "governance"])
def test_it_makes_what_a_clone_makes(alone: Alone, copier_template: Path, game: str) -> None:
    level = ["--level", "2", "--use-case", game]
    made = alone.new("made", *level)
    other = alone.place / "elsewhere/made"
    assert not rung("new", other, "--defaults", "--template", copier_template, *level).returncode
    ours, theirs = files_of(made), files_of(other)
    recorded = yaml.safe_load(ours.pop(".copier-answers.yml"))
    expected = yaml.safe_load(theirs.pop(".copier-answers.yml"))

    assert theirs == ours
    assert {"_src_path": template.url(), "_commit": template.tag()} == {
        key: recorded.pop(key) for key in ("_src_path", "_commit")
    }
    assert recorded == {key: value for key, value in expected.items() if key[0] != "_"}


def test_a_project_is_made_and_climbs_offline_and_equals_a_fresh_one(cut_off: Alone) -> None:
    # The schedule is drawn from the folder's name.
    made, fresh = cut_off.new("made", "--level", "0"), cut_off.new("fresh/made", "--level", "2")
    done = cut_off("climb", made, "--to", "2", "--no-verify")

    assert done.returncode == 0, done.stderr
    assert files_of(fresh) == files_of(made)


def test_the_cache_is_the_same_on_every_machine(
    alone: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = []
    for name in ("one", "two"):
        monkeypatch.setenv("RUNG_CACHE_DIR", str(alone.place / name))
        alone.new(f"made-{name}")
        commits.append(git(alone.place / name / "template.git", "rev-parse", template.tag()))

    assert commits[0] == commits[1]


def test_many_at_once_and_a_wary_git_do_no_harm(alone: Alone) -> None:
    (alone.place / "home").mkdir()
    (alone.place / "home/.gitconfig").write_text("[safe]\nbareRepository = explicit\n", "utf-8")
    started = [
        subprocess.Popen(
            [alone.program, "new", alone.place / f"made-{number}", "--defaults"],
            env={**os.environ, "GIT_CONFIG_GLOBAL": str(alone.place / "home/.gitconfig")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    ended = [(child.communicate()[1], child.returncode) for child in started]

    assert [0] * 4 == [code for _, code in ended], ended
    kept = {path.name for path in (alone.place / "cache/rung").iterdir()}
    assert {"copier", "renders.git", "renders.lock", "template.git"} == kept


def test_earlier_versions_are_kept(alone: Alone) -> None:
    alone.new("made")
    cache = alone.place / "cache/rung/template.git"
    git(cache, "tag", "v0.0.9", template.tag())
    alone.new("later")

    assert git(cache, "tag").split() == ["v0.0.9", template.tag()]


def test_copier_itself_updates_the_project_from_the_url(alone: Alone) -> None:
    """The URL is served from a repository that has the release, as the real one will be."""
    made = alone.new("made", "--level", "0")
    published = alone.place / "published"
    git(ROOT, "init", "--quiet", str(published))
    for path in TEMPLATE_PATHS:
        if (ROOT / path).is_dir():
            shutil.copytree(ROOT / path, published / path, symlinks=True)
        else:
            shutil.copy(ROOT / path, published / path)
    (published / "README.md").write_text("More than the template is here.\n", "utf-8")
    git(published, "add", "--all", "--force")
    git(published, "commit", "--quiet", "-m", "x")
    git(published, "tag", template.tag())
    settings = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{published.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": f"{template.url()}.git",
    }
    done = subprocess.run(
        [alone.program.with_name("copier"), "update", "--defaults", "--data", "level=1", "--quiet"],
        cwd=made,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert files_of(alone.new("fresh/made", "--level", "1")) == files_of(made)


def test_a_version_that_is_not_in_the_cache_is_looked_for_at_the_url(cut_off: Alone) -> None:
    made = cut_off.new("made", "--level", "0")
    answers = made / ".copier-answers.yml"
    answers.write_text(answers.read_text("utf-8").replace(template.tag(), "v9.9.9"), "utf-8")
    git(made, "commit", "-qam", "Later version")
    done = cut_off("climb", made, "--to", "1")

    assert done.returncode == 2, done.stdout
    assert f"The template {template.url()} could not be read at v9.9.9" in done.stderr
    assert "Traceback" not in done.stderr
    assert git(made, "status", "--porcelain") == ""
