"""The cache of renders stays small, and never deletes what is being read."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rung.core import cache, creation, template_source
from rung.core.climbing import planner, plans
from rung.core.climbing.plans import ChangeRequest
from rung.core.rendering import answers_file, render, rendered_trees, workbench
from rung.errors import RungError
from tests.climbing import tiny
from tests.climbing.conftest import NewProject
from tests.climbing.tiny import git


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RUNG_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def kept(home: Path) -> int:
    """Return how many renders there are; one may have several names."""
    named = ("for-each-ref", "--format=%(objectname)", "refs/renders")
    return len(set(git(home / "renders.git", *named).splitlines()))


def grow_old(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long_ago = time.time() - (cache.OLDEST + 1) * 24 * 3600
    os.utime(home / "renders.git/HEAD", (long_ago, long_ago))


def grow_large(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "LARGEST", 1000)


Grow = Callable[[Path, pytest.MonkeyPatch], None]


@pytest.mark.parametrize("grow", [grow_old, grow_large])
def test_what_is_old_or_large_is_thrown_away_and_made_again(
    project: Path, home: Path, monkeypatch: pytest.MonkeyPatch, grow: Grow
) -> None:
    for level in (1, 2):
        tiny.plan(project, level=level)
    assert 3 == kept(home)

    grow(home, monkeypatch)
    tiny.climb(project, level=1)

    assert 2 == kept(home)


def test_what_somebody_reads_is_not_thrown_away(
    new_project: NewProject, small: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, template = new_project(0), template_source.choose(str(small), None)
    with workbench.opened(project) as bench:
        tree = rendered_trees.rendered(bench, template, {"level": 2})
        grow_old(home, monkeypatch)
        tiny.climb(project, level=1)

        assert "ops/two.py" in bench.files(tree)
        assert 3 == kept(home)
    tiny.plan(project, level=2)
    assert 2 == kept(home)


def test_what_a_killed_removal_has_left_goes_at_the_next_start(
    new_project: NewProject, home: Path
) -> None:
    (home / "renders.old/objects").mkdir(parents=True)
    tiny.plan(new_project(0), level=1)

    assert ["renders.git", "renders.lock"] == sorted(
        path.name for path in home.iterdir() if path.name.startswith("renders")
    )


def loose(home: Path) -> list[Path]:
    """Return the files that hold an object each."""
    return [path for path in (home / "renders.git/objects").glob("??/*") if path.is_file()]


def test_what_a_cleaner_took_is_made_again(project: Path, home: Path) -> None:
    before = tiny.plan(project, level=1)
    for path in loose(home):
        path.unlink()
    shutil.rmtree(home / "renders.git/objects")

    assert before == tiny.plan(project, level=1)


def test_a_cache_that_cannot_be_repaired_is_named(project: Path, home: Path) -> None:
    tiny.plan(project, level=1)
    for path in loose(home):
        path.chmod(0o644)
        path.write_bytes(b"")

    with pytest.raises(RungError, match=r"renders\.git is damaged"):
        tiny.plan(project, level=1)


def test_a_cache_may_be_named_by_a_relative_path(
    new_project: NewProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNG_CACHE_DIR", "near")
    tiny.plan(new_project(0), level=1)

    assert (tmp_path / "near/renders.git/HEAD").is_file()


def test_what_git_makes_by_default_does_not_matter(
    new_project: NewProject, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DEFAULT_HASH", "sha256")
    tiny.climb(new_project(0), level=1)

    assert "sha1" == git(home / "renders.git", "rev-parse", "--show-object-format")


def test_a_cache_that_cannot_be_locked_is_read_all_the_same(project: Path, home: Path) -> None:
    before = tiny.plan(project, level=1)
    (home / "renders.lock").unlink()
    (home / "renders.lock").mkdir()

    assert before == tiny.plan(project, level=1)


def test_a_render_under_other_defaults_of_the_user_is_not_reused(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copier's settings change the default of a question that the project has not answered."""
    template = tiny.template(tmp_path / "template")
    project = tiny.new_project(template, tmp_path / "project")
    question = tiny.FILES["levels/questions.yml"] + "tone: {type: str, default: plain}\n"
    new = {"levels/questions.yml": question, "files/tone.txt.jinja": "{{ tone }}\n"}
    tiny.release(template, "v0.2.0", new)
    settings = tmp_path / "settings.yml"
    monkeypatch.setenv("COPIER_SETTINGS_PATH", str(settings))
    settings.write_text("defaults: {tone: warm}\n")
    request = ChangeRequest({}, "v0.2.0")
    with planner.prepare(project, request, str(template)) as prepared:
        plans.save(tmp_path / "plan", project, request, str(template), prepared.plan)
    saved = plans.load(tmp_path / "plan")
    plans.refuse_if_moved(saved, tiny.plan(project, "v0.2.0"))

    settings.write_text("defaults: {tone: cold}\n")

    with pytest.raises(RungError, match="what the climb would give changed"):
        plans.refuse_if_moved(saved, tiny.plan(project, "v0.2.0"))
    tiny.climb(project, "v0.2.0")
    assert "cold\n" == (project / "tone.txt").read_text()


def test_a_climb_renders_only_what_is_to_come(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copier records a name of the commit, which may differ from the one that was chosen."""
    asked = "tone: {type: str, default: plain, when: '{{ level|int > 1 }}'}\n"
    files = {"levels/questions.yml": tiny.FILES["levels/questions.yml"] + asked}
    small = tiny.template(tmp_path / "template")
    tiny.release(small, "v0.2.0", files)
    chosen = template_source.choose(str(small), git(small, "rev-parse", "HEAD"))
    made = creation.create(tmp_path / "project", chosen, {"level": 1}, defaults=True)
    content = answers_file.read(made.folder)
    template = template_source.followed(content, str(small))
    with workbench.opened(made.folder) as bench:
        before = kept(home)
        tree = rendered_trees.rendered(bench, template, answers_file.answers(content))

        assert [1, 1] == [before, kept(home)]
        assert tree == bench.inside(git(made.folder, "rev-parse", "HEAD"), "")
    made_of: list[Any] = []

    def counted(*arguments: Any, **options: Any) -> None:
        made_of.append(arguments)
        rendered(*arguments, **options)

    rendered = render.render
    monkeypatch.setattr(rendered_trees, "render", counted)
    for number, level in enumerate((2, 0), 1):  # the second begins with a newly asked question
        tiny.climb(made.folder, level=level)
        assert number == len(made_of)
