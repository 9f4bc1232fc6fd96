"""From 0.1, which had the machinery as source in ops/: no edit is lost, and what moved is named."""

import re
import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from rung.core.climbing import climb as climbing
from rung.core.climbing import messages, planner
from rung.core.climbing.plan import Plan
from rung.core.climbing.planner import ChangeRequest
from rung.core.merging.moves import Moves
from rung.system import plain_yaml
from tests.climbing import tiny
from tests.climbing.tiny import commit, files_of, git
from tests.conftest import GAMES, LEVELS, ROOT
from tests.upgrades import corpus
from tests.upgrades.corpus import TODAY

OLD = "v0.1"
OFTEN = [("velocity", 4), ("governance", 2)]  # the slow suites look at every other rung
MOVED = plain_yaml.load((ROOT / "levels/moved.yml").read_text())
STAGES = {f"pipeline/{name}.py" for name in ("ingest", "validate", "split", "train", "evaluate")}
NewProject = Callable[[str, int], Path]
NEW_TOGETHER = {*STAGES, "tests/test_contract.py"}  # the user's, and not there in 0.1


@pytest.fixture(scope="module")
def new_project(versions: Path, tmp_path_factory: pytest.TempPathFactory) -> NewProject:
    """Return a project of 0.1 for a game and a level, made once; do not change it."""
    made: dict[tuple[str, int], Path] = {}

    def original(game: str, level: int) -> Path:
        if (game, level) not in made:
            directory = tmp_path_factory.mktemp("new") / "p"
            made[game, level] = tiny.new_project(
                versions, directory, OLD, use_case=game, level=level
            )
        return made[game, level]

    return original


def update(project: Path, template: Path, version: str = TODAY) -> Plan:
    """Update without the project's checks; conflicts are an error."""
    return tiny.climb(project, template, version)


@pytest.mark.parametrize(
    ("game", "level"),
    [
        each if each in OFTEN else pytest.param(*each, marks=pytest.mark.slow)
        for each in product(GAMES, LEVELS)
    ],
)
class TestEveryRung:
    """Of both games."""

    def test_without_edits_it_becomes_a_project_of_today(
        self, versions: Path, new_project: NewProject, tmp_path: Path, game: str, level: int
    ) -> None:
        project = tiny.copy(new_project(game, level), tmp_path / "p")

        update(project, versions)

        # 0.1 asked for all answers on every rung.
        different = corpus.unlike_fresh(project, versions, tmp_path / "new")
        # Planted once: what says whom a prediction is bad for is not put into params.toml afterwards.
        planted = {"README.md", "data/sample/README.md", "docs/use_case.md", "params.toml"}
        (package,) = (project / "src").iterdir()
        # Their comments have changed.
        planted |= {f"src/{package.name}/{name}.py" for name in ("dataset", "features", "model")}
        assert different <= planted

    def test_no_edit_is_lost_and_what_moved_is_named(
        self, versions: Path, new_project: NewProject, tmp_path: Path, game: str, level: int
    ) -> None:
        project = tiny.copy(new_project(game, level), tmp_path / "p")
        applied = corpus.edit(project, OLD)
        written = corpus.tokens(files_of(project))
        edited = {"ops/train.py", "ops/tests/test_contract.py"}
        edited |= {"ops/service/app.py"} if "service" in applied else set()

        with planner.prepare(project, ChangeRequest(version=TODAY), str(versions)) as prepared:
            plan = prepared.plan
            assert edited == {conflict.path for conflict in plan.conflicts}
            assert {"moved"} == {conflict.why for conflict in plan.conflicts}
            assert {"scripts/again.sh", "scripts/seed.py"} == plan.uses.keys()
            climbing.climb_on_branch(prepared, "newer", messages.message(plan))
        git(project, "switch", "--quiet", "newer")

        files = files_of(project)
        assert written == corpus.tokens(files)
        assert NEW_TOGETHER <= files.keys()
        assert edited == {
            path for path in files if path.startswith("ops/") and path.endswith(".py")
        }
        settings = {new for old, new in MOVED["settings"].items() if (project / new).exists()}
        # Under governance the monitor's limits are in the monitoring plan: the edited file stays.
        stay = {"monitor"} & set(applied) if game == "governance" else set()
        assert {f"{name}.toml" for name in stay} <= set(plan.kept)  # as the plan says
        assert {f"{name}.toml" for name in stay} == {
            old for old in MOVED["settings"] if (project / old).exists()
        }
        for name in {"gate", "monitor", "service"} & set(applied) - stay:
            assert f"ops/{name}.toml" in settings
            assert corpus.TOKEN in (project / f"ops/{name}.toml").read_text()


@pytest.fixture
def project(new_project: NewProject, tmp_path: Path) -> Path:
    """Return a project of 0.1 on rung 4."""
    return tiny.copy(new_project("velocity", 4), tmp_path / "project")


def test_a_conflict_says_where_the_code_went_and_shows_the_edit(
    versions: Path, project: Path
) -> None:
    corpus.edit(project, OLD)

    with planner.prepare(project, ChangeRequest(version=TODAY), str(versions)) as prepared:
        output = re.sub(r"\s+", " ", messages.stopped(prepared.plan, "rung update"))

    assert "The stage is now pipeline/train.py, yours to edit." in output
    assert "It is now rung_ops/serving/" in output
    assert "`rung eject` puts the library into machinery/: make your edit in machinery/" in output
    assert "then delete ops/service/app.py." in output
    assert 'yours | LOG = logging.getLogger("service.edited") # EDIT our name' in output


def test_old_names_in_files_of_the_user_are_listed(versions: Path, project: Path) -> None:
    corpus.edit(project, OLD, left_out=("stage", "service", "library-test"))

    uses = tiny.plan(project, versions, TODAY).uses

    assert ["ops.train is now pipeline/train.py"] == uses["scripts/again.sh"]
    assert any(name.startswith("ops.settings is now rung_ops.") for name in uses["scripts/seed.py"])


def test_a_file_of_the_users_in_ops_stays_and_is_named(versions: Path, project: Path) -> None:
    tiny.write(project, {"ops/mine.py": "from ops.settings import params  # EDIT\n"})
    commit(project)

    plan = update(project, versions)

    assert (project / "ops/mine.py").exists()
    assert "ops/mine.py" in plan.uses


def test_a_renamed_file_of_the_machinery_does_not_stay_unseen(
    versions: Path, project: Path
) -> None:
    git(project, "mv", "ops/train.py", "ops/fitting.py")
    commit(project)

    plan = tiny.plan(project, versions, TODAY)

    assert "ops/fitting.py" in {*plan.uses, *(one.path for one in plan.conflicts), *plan.retired}


def test_what_the_user_deleted_stays_away(versions: Path, project: Path) -> None:
    deleted = ["tests/test_features.py", "README.md", "rollout.toml", "ops/tests/test_data.py"]
    git(project, "rm", "--quiet", *deleted)
    commit(project)

    update(project, versions)

    gone = {"tests/test_features.py", "README.md", "ops/rollout.toml", "rollout.toml"}
    assert not gone & files_of(project).keys()


def test_a_stage_that_the_user_has_already_is_theirs(versions: Path, project: Path) -> None:
    tiny.write(project, {"pipeline/train.py": "print('EDIT ours')\n"})
    commit(project)

    plan = update(project, versions)

    assert "print('EDIT ours')\n" == (project / "pipeline/train.py").read_text()
    assert STAGES - {"pipeline/train.py"} <= set(plan.added)


def test_a_stage_deleted_after_the_update_stays_deleted(
    versions: Path, project: Path, tmp_path: Path
) -> None:
    template = shutil.copytree(versions, tmp_path / "template", symlinks=True)
    answers = project / ".copier-answers.yml"
    answers.write_text(answers.read_text().replace(str(versions), str(template)))
    commit(project)
    update(project, template)
    git(project, "rm", "--quiet", "pipeline/split.py", "tests/test_contract.py")
    commit(project)
    tiny.release(template, "v1000.1", {"templates/project/.gitattributes": "* text=auto\n"})

    update(project, template, "v1000.1")

    assert "* text=auto\n" == (project / ".gitattributes").read_text()
    assert not (project / "pipeline/split.py").exists()
    assert not (project / "tests/test_contract.py").exists()


def test_every_module_of_0_1_leads_to_one_that_exists() -> None:
    commit_of_0_1 = corpus.history(OLD)
    listed = git(ROOT, "ls-tree", "-r", "--name-only", commit_of_0_1, "templates/project/ops")
    paths = [path.removeprefix("templates/project/") for path in listed.splitlines()]
    code = [path for path in paths if path.endswith(".py") and not path.startswith("ops/tests/")]
    moves = Moves(
        stages=MOVED["stages"],
        packages=MOVED["packages"],
        modules=MOVED["modules"],
        known=frozenset(paths),
    )
    wrong = {}
    for path in code:
        new = moves.file(path)
        if path == "ops/__init__.py" or (path in moves.stages and new is None):
            continue
        if new is None or not (ROOT / "machinery" / new).exists():
            wrong[path] = new

    assert {} == wrong, "levels/moved.yml does not lead there any more"
    assert all((ROOT / "templates/project" / new).exists() for new in moves.stages.values())


def test_further_models_see_what_rewrites_their_stages(versions: Path, tmp_path: Path) -> None:
    answers = {"use_case": "velocity", "level": 2, "team_size": "teams"}
    project = tiny.new_project(versions, tmp_path / "teams", OLD, **answers)

    plan = update(project, versions)

    stages = "models/cancellations/dvc.yaml"
    assert {stages: ["`uv run poe models` writes it for the library"]} == plan.uses
    assert "rung_ops" in (project / "models/cancellations/tests/test_model.py").read_text()
