"""Add-ons are registered by an entry point; what the project lists and lacks stops every verb."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

import rung_ops
from machinery.tests.conftest import Capture, Patch
from machinery.tests.projects import moved
from rung_ops import __main__ as command
from rung_ops.addons import Addon, Backend, Verb
from rung_ops.batch import predict
from rung_ops.data.ingest import sample_rows
from rung_ops.errors import NoProjectError, UsageError
from rung_ops.monitoring import observation as monitoring_hooks
from rung_ops.project import Project, active_addons, current, hooks, models, paths
from rung_ops.verbs import VERBS

CALLS: list[Any] = []


def record(*arguments: Any) -> None:
    CALLS.append(arguments)


def fails(*arguments: Any) -> None:
    raise RuntimeError("the channel is closed")


def find_one(predictions: pl.DataFrame) -> list[str]:
    return [f"{predictions.height} predictions"]


def of(name: str) -> str:
    """Name a function of this module, as an add-on does."""
    return f"{__name__}:{name}"


def score_two(source: Path, output: Path, before: predict.BeforeWriting) -> predict.Result:
    predict.write([pl.DataFrame({"prediction": [0.25, 0.5]})], output, before)
    return predict.Result(2, 0, [], {}, [])


@contextmanager
def doubled() -> Iterator[predict.Change]:
    yield lambda scored: scored.with_columns(pl.col("prediction") * 2)


@contextmanager
def raised() -> Iterator[predict.Change]:
    yield lambda scored: scored.with_columns(pl.col("prediction") + 1)


HOUSE = Addon(
    summary="the house's own",
    verbs={"house try": Verb(of("record"), "", "try it")},
    notify=of("record"),
    monitor_check=of("find_one"),
    stage_functions={"record_rows": of("record")},
    scoring={"two": Backend(of("score_two"), ""), "absent": Backend("grid_backend:run", "grid")},
    before_writing=of("doubled"),
)


@pytest.fixture(autouse=True)
def nothing_called() -> None:
    CALLS.clear()


@pytest.fixture
def house(monkeypatch: Patch) -> dict[str, Addon]:
    """An environment with the library's own add-ons and one of a house; a test may change it."""
    own = {name: addon for name, addon in active_addons.installed().items() if name != "governance"}
    there = {**own, "house": HOUSE}
    monkeypatch.setattr(active_addons, "installed", lambda: there)
    monkeypatch.setattr(active_addons, "listed", list)
    return there


def test_a_verb_of_an_add_on_is_run_and_listed_below_its_name(
    house: dict[str, Addon], capsys: Capture
) -> None:
    assert command.main(["house", "try"]) == command.OK
    assert CALLS == [()]

    assert command.main(["--help"]) == command.OK
    assert "\nhouse: the house's own\n  house try " in capsys.readouterr().out


def test_a_project_lists_the_verbs_of_what_it_uses(
    house: dict[str, Addon], monkeypatch: Patch, tmp_path: Path, capsys: Capture
) -> None:
    moved(monkeypatch, repository=tmp_path)
    command.main(["--help"])
    small = capsys.readouterr().out
    (tmp_path / "ops").mkdir()
    (tmp_path / "ops/ray.toml").touch()
    command.main(["--help"])
    with_ray = capsys.readouterr().out

    assert "ray tune" not in small and "replay" not in small and "gate " in small
    assert "ray tune" in with_ray


def test_without_governance_nothing_names_it(house: dict[str, Addon], capsys: Capture) -> None:
    command.main(["--help"])

    assert "governance" not in capsys.readouterr().out
    assert command.main(["governance", "stop"]) == command.USAGE


@pytest.mark.parametrize("verb", ["gate", "serve", "house try", "--help"])
def test_an_add_on_that_is_listed_and_missing_stops_every_verb(
    house: dict[str, Addon], monkeypatch: Patch, capsys: Capture, verb: str
) -> None:
    monkeypatch.setattr(active_addons, "listed", lambda: ["guard"])

    assert command.main(verb.split()) == command.USAGE
    assert (
        "the add-on `guard` under [tool.rung], and it is not installed" in capsys.readouterr().err
    )
    assert CALLS == []


def test_what_no_add_on_has_a_say_in_runs_without_it() -> None:
    assert {name for name, verb in VERBS.items() if verb.is_alone} == {"draft", "models", "sign"}


@pytest.mark.parametrize("listed", ["governance", [1], {"governance": True}])
def test_a_list_that_is_none_is_refused(monkeypatch: Patch, listed: Any) -> None:
    monkeypatch.setattr(Project, "table", lambda _: {"addons": listed})

    with pytest.raises(NoProjectError, match=r"\[tool.rung\] (an item of )?addons: expected"):
        active_addons.listed()


@pytest.mark.parametrize("verb", ["gate", "ray tune"])
def test_two_verbs_of_one_name_are_refused(
    house: dict[str, Addon], capsys: Capture, verb: str
) -> None:
    house["thief"] = Addon(summary="takes", verbs={verb: Verb(of("record"), "", "take it")})

    assert command.main([verb]) == command.USAGE
    assert f"`rung-ops {verb}` is a verb of" in capsys.readouterr().err
    assert CALLS == []


def test_a_message_reaches_the_add_on_whatever_another_one_does(
    house: dict[str, Addon], capsys: Capture
) -> None:
    house["closed"] = Addon(summary="fails", notify=of("fails"))
    house["gone"] = Addon(summary="is not there", notify="no_such_module:notify")
    house["later"] = HOUSE

    hooks.notify("a subject", "a message")

    assert CALLS == [("a subject", "a message")] * 2
    printed = capsys.readouterr().err
    assert "add-on closed failed with RuntimeError: the channel is closed" in printed
    assert "add-on gone failed with UsageError" in printed


def test_the_monitor_asks_the_checks_of_add_ons(house: dict[str, Addon]) -> None:
    house["closed"] = Addon(summary="fails", monitor_check=of("fails"))

    assert monitoring_hooks.hook_problems(pl.DataFrame({"id": [1, 2]})) == [
        "2 predictions",
        "monitor_check of the add-on closed raised RuntimeError: the channel is closed",
    ]


def test_stages_import_the_functions_of_add_ons(house: dict[str, Addon]) -> None:
    from rung_ops.stages import fit_on_ray, record_rows

    assert record_rows is record and fit_on_ray.__module__ == "rung_ops.ray.train"
    with pytest.raises(ImportError, match="no_such_function"):
        from rung_ops.stages import no_such_function  # noqa: F401


def test_a_models_documents_are_checked_once_it_has_some(
    house: dict[str, Addon], tmp_path: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    house["house"] = replace(
        HOUSE, path="src", checks=("house try",), documents="named", stages=("src/dvc.yaml",)
    )
    ran: list[list[str]] = []
    done = SimpleNamespace(returncode=0)
    monkeypatch.setattr(models.subprocess, "run", lambda words, **_: ran.append(words) or done)
    monkeypatch.setattr(models, "outdated", lambda: [])
    monkeypatch.setattr(models.paths, "other_models", lambda: [tmp_path])
    monkeypatch.setattr(models, "shown", str)
    (tmp_path / "src").mkdir()
    (tmp_path / "src/dvc.yaml").touch()

    assert models.check_all() == 0
    assert "no documents of house yet: `uv run poe models`" in capsys.readouterr().out
    assert not any(words[-2:] == ["house", "try"] for words in ran)

    (tmp_path / "src/risks.yaml").touch()
    assert models.check_all() == 0
    assert any(words[-2:] == ["house", "try"] for words in ran)


@pytest.fixture
def files(saved_model: Path, tmp_path: Path, monkeypatch: Patch) -> list[str]:
    """An input and an output."""
    moved(monkeypatch, model_file=saved_model)
    sample_rows().head(2).write_parquet(tmp_path / "in.parquet")
    return [str(tmp_path / name) for name in ("in.parquet", "out.parquet")]


def test_a_backend_scores_and_every_add_on_changes_what_is_written(
    house: dict[str, Addon], files: list[str]
) -> None:
    house["late"] = Addon(summary="comes later", before_writing=of("raised"))

    assert predict.main([*files, "--backend", "two"]) == 0
    assert pl.read_parquet(files[1])["prediction"].to_list() == [1.5, 2.0]

    assert predict.main(files) == 0
    here = pl.read_parquet(files[1])["prediction"]
    house["house"] = replace(HOUSE, before_writing="")
    del house["late"]
    assert predict.main(files) == 0
    assert here.equals(pl.read_parquet(files[1])["prediction"] * 2 + 1)


@pytest.mark.parametrize(
    ("backend", "reason"),
    [
        ("spark", "No add-on that is installed brings the backend `spark`: install one that does"),
        ("ray", "add-on `ray`, which this project does not use, as it has no ops/ray.toml: add"),
        (
            "absent",
            "`house` needs the package `no_such`, which is not installed: run `uv sync`, or",
        ),
        ("two", "The add-ons house and other bring a backend `two` each"),
    ],
)
def test_a_backend_that_cannot_be_used_is_refused_with_a_remedy(
    house: dict[str, Addon],
    files: list[str],
    monkeypatch: Patch,
    tmp_path: Path,
    capsys: Capture,
    backend: str,
    reason: str,
) -> None:
    (tmp_path / "grid_backend.py").write_text("import no_such\n")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "late-flights"\n')
    moved(monkeypatch, repository=tmp_path)
    house["other"] = Addon(summary="one more", scoring={"two": Backend(of("score_two"), "")})

    assert predict.main([*files, "--backend", backend]) == command.USAGE

    assert reason in capsys.readouterr().err
    assert not Path(files[1]).exists()


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("ray predict", "predict"), ("ray predict-logged", "predict"), ("house tyr", "house try")],
)
def test_a_verb_that_does_not_exist_is_named_with_what_was_meant(
    house: dict[str, Addon], capsys: Capture, typed: str, meant: str
) -> None:
    assert command.main([*typed.split(), "in.csv"]) == command.USAGE

    line = f"`rung-ops {typed}` does not exist; did you mean `{meant}`?\n"
    assert capsys.readouterr().err.startswith(line)


def entry(name: str, value: str, distribution: str = "house") -> EntryPoint:
    made = EntryPoint(name, value, active_addons.GROUP)
    vars(made)["dist"] = SimpleNamespace(name=distribution)
    return made


@pytest.fixture
def entries(monkeypatch: Patch) -> list[EntryPoint]:
    """What is installed, to be filled by a test."""
    there: list[EntryPoint] = []
    monkeypatch.setattr(active_addons, "entry_points", lambda group: there)
    active_addons.installed.cache_clear()
    yield there
    active_addons.installed.cache_clear()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("no_such_module:ADDON", "ModuleNotFoundError"),
        (of("NO_SUCH_NAME"), "AttributeError"),
        (of("record"), "expected a rung_ops.addons.Addon"),
    ],
)
def test_an_add_on_that_cannot_be_loaded_is_named(
    entries: list[EntryPoint], value: str, reason: str
) -> None:
    entries.append(entry("house", value))

    with pytest.raises(UsageError, match=f"`house`.*{reason}|{reason}"):
        active_addons.installed()


def test_two_add_ons_of_one_name_are_refused(entries: list[EntryPoint]) -> None:
    entries += [entry("house", of("HOUSE")), entry("house", of("HOUSE"), "other")]

    with pytest.raises(UsageError, match="Two add-ons are named `house`"):
        active_addons.installed()


def test_the_package_of_the_project_registers_none(entries: list[EntryPoint]) -> None:
    """Its code must not run in a process that has keys."""
    own = paths.project_name(current().repository).replace("-", "_")
    entries += [entry("mine", of("HOUSE"), own), entry("house", of("HOUSE"))]

    assert list(active_addons.installed()) == ["house"]


def test_a_library_that_uv_has_installed_as_links_is_the_same_one(tmp_path: Path) -> None:
    package = Path(str(rung_ops.__file__)).parent
    for file in package.rglob("*.*"):
        if file.is_file():
            link = tmp_path / file.relative_to(package.parent)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file)
    program = (
        "from rung_ops.project import active_addons as a; print(a.running_library()['rung_ops'])"
    )
    command = [sys.executable, "-c", program]

    linked = subprocess.run(
        command,
        cwd=current().root,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    )

    assert linked.stdout.strip() == active_addons.running_library()["rung_ops"]
