"""An ejected project works from its own source: checks, the library's tests, pipeline.

Updates of an ejected project, conflicts and the way back are in tests/climbing/test_eject.py.
"""

from pathlib import Path

import pytest

from tests.climbing import tiny
from tests.command import git, rung
from tests.conftest import GAMES
from tests.product.conftest import commit, environment, run
from tests.upgrades import corpus
from tests.upgrades.corpus import TODAY

pytestmark = pytest.mark.slow

SERVICE = "machinery/rung_ops/serving/app.py"
LINE = 'LOG = logging.getLogger("service")\n'
OURS = 'LOG = logging.getLogger("service.ours")\n'
# One game runs the library's tests, the other those of its add-on, with which nothing is in a bucket.
TESTS = {"velocity": "machinery/tests", "governance": "machinery/governance/tests"}


class Ejected:
    """A project of a game on rung 4 that was ejected and has one line of the service changed."""

    def __init__(self, game: str, folder: Path) -> None:
        """Make the template and the project, eject it, and change the line."""
        self.game = game
        self.template = corpus.today(folder / "template")
        self.folder = tiny.new_project(
            self.template, folder / "project", TODAY, use_case=game, level=4
        )
        # An adopted repository has the tables of its own.
        self.edit("pyproject.toml", 'testpaths = ["tests"]\n', "")
        run("uv", "lock", "--quiet", cwd=self.folder)
        commit(self.folder, "Lock")
        self.output = self.rung("eject")
        self.edit(SERVICE, LINE, OURS)
        commit(self.folder, "Name the log of the service")

    def rung(self, *arguments: str, expect: int = 0) -> str:
        trusted = ("--template", self.template)
        done = rung(*arguments, *trusted, cwd=self.folder, environment=environment())
        assert expect == done.returncode, done.stdout + done.stderr
        return done.stdout + done.stderr

    def run(self, *command: str, expect: int = 0) -> str:
        return run(*command, cwd=self.folder, expect=expect).stdout

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.folder / path
        assert 1 == file.read_text().count(old), path
        file.write_text(file.read_text().replace(old, new))


often = pytest.mark.parametrize(
    "ejected",
    [pytest.param("velocity", marks=pytest.mark.every_commit), "governance"],
    indirect=True,
    scope="module",
)


@pytest.fixture(scope="module")
def ejected(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ejected:
    """Return an ejected project of each game; the tests go on from one another, in their order."""
    return Ejected(request.param, tmp_path_factory.mktemp(f"ejected-{request.param}"))


@often
def test_the_source_is_there_and_the_wheel_is_not(ejected: Ejected) -> None:
    assert "Library from wheel to source:" in ejected.output
    assert not list(ejected.folder.glob("vendor/*"))
    where = ejected.run("uv", "run", "python", "-c", "import rung_ops; print(rung_ops.__file__)")
    assert where.strip().endswith(str(ejected.folder / "machinery/rung_ops/__init__.py"))
    assert (ejected.game == "governance") == (ejected.folder / "machinery/governance").exists()


@often
def test_the_checks_and_the_hooks_pass(ejected: Ejected) -> None:
    ejected.run("uv", "run", "poe", "check")
    ejected.run("uv", "run", "pre-commit", "run", "--all-files")
    assert "" == git(ejected.folder, "status", "--porcelain")


@often
def test_the_pipeline_runs(ejected: Ejected) -> None:
    ejected.run("uv", "run", "poe", "pipeline")
    assert (ejected.folder / "reports/run.json").exists()
    commit(ejected.folder, "Run the pipeline")


@often
def test_a_changed_line_of_the_library_makes_the_pipeline_stale(ejected: Ejected) -> None:
    assert "up to date" in ejected.run("uv", "run", "dvc", "status")
    ejected.edit(SERVICE, OURS, f"{OURS}\n")
    assert "machinery/rung_ops" in ejected.run("uv", "run", "dvc", "status")
    ejected.run("git", "restore", SERVICE)


@pytest.mark.parametrize("ejected", GAMES, indirect=True, scope="module")
def test_the_librarys_own_tests_pass(ejected: Ejected) -> None:
    chosen = TESTS[ejected.game]
    output = ejected.run("uv", "run", "pytest", chosen, "-n", "2", "-p", "no:cacheprovider")
    assert " passed" in output
    assert "" == git(ejected.folder, "status", "--porcelain")


def test_an_ejected_library_out_of_date_is_reported(tmp_path: Path) -> None:
    template = corpus.today(tmp_path / "template")
    project = tiny.new_project(template, tmp_path / "project", TODAY, use_case="velocity", level=0)
    rung("eject", "--no-verify", "--template", template, cwd=project, environment=environment())
    run("uv", "sync", "--quiet", cwd=project)
    about = project / "machinery/rung_ops/__init__.py"
    version = about.read_text().partition('__version__ = "')[2].partition('"')[0]
    about.write_text(about.read_text().replace(version, "0.1.7"))

    output = run("uv", "run", "--no-sync", "rung-ops", "releases", cwd=project, expect=None)

    assert 0 != output.returncode
    expected = f"This project's files expect rung-ops {version}, but machinery/ holds 0.1.7"
    assert expected in output.stdout
    assert "Traceback" not in output.stdout
