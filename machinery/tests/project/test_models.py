"""The models of this repository: each is tested by itself, and shares what it should."""

from pathlib import Path

import pytest

from rung_ops.errors import StageError
from rung_ops.project import Project, current, models, paths


@pytest.fixture
def new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another model, in a folder of its own."""
    monkeypatch.setattr(paths, "models_folder", lambda: tmp_path)
    monkeypatch.setattr(paths, "shown", str)
    monkeypatch.setattr(models, "gitlab_file", lambda: tmp_path / "models.yml")
    return models.add("another_one")


def test_what_a_later_rung_adds_is_written(new: Path) -> None:
    (new / models.TASKS_FILE).write_text("# of another rung\n", encoding="utf-8")
    assert models.outdated() == [new / models.TASKS_FILE]

    models.write_kept(new)

    assert models.outdated() == []


def test_a_command_in_a_models_folder_is_about_that_model() -> None:
    repository = current().repository
    for folder in paths.other_models():
        assert Project.find(folder).root == Project.find(folder / "src").root == folder
    for folder in (repository, repository / "models", repository / "ops"):
        assert Project.find(folder) == Project.at(repository)


def test_a_new_model_begins_as_a_copy_of_the_first(new: Path) -> None:
    (package,) = (current().repository / "src").glob("*/dataset.py")

    assert (new / "src/another_one/dataset.py").read_bytes() == package.read_bytes()
    assert (new / "params.toml").read_bytes() == (current().repository / "params.toml").read_bytes()
    assert models.outdated() == []
    assert not list(new.rglob("dvc.lock"))


def test_the_stages_of_a_new_model_are_those_of_the_first(new: Path) -> None:
    if not (current().repository / "dvc.yaml").is_file():
        pytest.skip("no pipeline on this rung")
    text = (new / "dvc.yaml").read_text(encoding="utf-8")

    assert text.replace("../../", "") == (current().repository / "dvc.yaml").read_text("utf-8")
    assert "cmd: rung-ops stage ../../pipeline/train.py\n" in text
    assert "- ../../pipeline/train.py\n" in text


def test_each_model_has_a_port_of_its_own(new: Path) -> None:
    earlier = models.add("and_one_more")
    ports = [(folder / models.TASKS_FILE).read_text("utf-8") for folder in (new, earlier)]

    assert ['default = "8001"' in text for text in ports] == [True, False]
    assert ['default = "8002"' in text for text in ports] == [False, True]
    assert models.outdated() == []


@pytest.mark.parametrize(
    "name", ["another_one", "polars", "rung_ops", "class", "A", "a-b", "../x", ""]
)
def test_a_name_that_cannot_be_a_package_of_its_own_is_refused(new: Path, name: str) -> None:
    before = sorted(new.parent.rglob("*"))

    with pytest.raises(StageError):
        models.add(name)

    assert sorted(new.parent.rglob("*")) == before


def test_a_model_without_a_package_is_named(new: Path) -> None:
    (new / "src/another_one/__init__.py").unlink()

    with pytest.raises(StageError, match="holds none"):
        paths.package_of(new)


def test_the_ci_hears_of_every_model(new: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models.gitlab_file().write_text("# Which\n      - MODEL: [.]\n", encoding="utf-8")
    assert models.outdated() == [models.gitlab_file()]

    models.write_list()

    text = models.gitlab_file().read_text("utf-8")
    assert text == "# Which\n      - MODEL: [., models/another_one]\n"
    monkeypatch.undo()
    known = [each["folder"] for each in models.listed()]
    assert known == [".", *(f"models/{home.name}" for home in paths.other_models())]
    assert [each["POE_PROJECT_DIR"] for each in models.matrix().values()] == known
    with pytest.raises(StageError, match="no model nobodys"):
        models.listed("nobodys")
