"""A release holds everything that is needed to answer, and says where it comes from."""

import importlib
import json
import re
import shutil
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pandera.polars as pa
import polars as pl
import pytest
from polars.testing import assert_series_equal
from sklearn.base import BaseEstimator, RegressorMixin

from machinery.tests.conftest import FACTS, Patch, RunVerb, Trained
from machinery.tests.in_project import fit
from machinery.tests.projects import moved
from machinery.tests.release.conftest import Write
from rung_ops import contract
from rung_ops.contract.row_checks import inspect
from rung_ops.errors import OpsError, StageError, UnreadableFileError, VersionError
from rung_ops.gate import judge
from rung_ops.model import bundle
from rung_ops.model.bundle import BundleError, verify
from rung_ops.model.columns import PLAIN, dtype_of, family_of, text_of
from rung_ops.project import active_addons, current
from rung_ops.project.paths import params
from rung_ops.release import contract_file, export, make, signing
from rung_ops.system import files, git
from rung_ops.tracking import last_run, record_run, registry, versions
from rung_ops.training import estimator, model_card, window

SCHEMA = contract.Row.to_schema()
COLUMNS = [name for name in SCHEMA.columns if name != contract.TARGET]


@pytest.fixture(scope="module")
def written(release_folder: Path) -> dict[str, Any]:
    return json.loads((release_folder / bundle.CONTRACT).read_text())


def test_the_manifest_says_what_it_was_made_from(release_folder: Path, trained: Trained) -> None:
    manifest = bundle.read_manifest(release_folder)

    assert {name: manifest[name] for name in FACTS} == FACTS
    assert manifest["id"] == release_folder.name == "v1-aaaaaaaa-bbbbbb"
    assert manifest["training_rows"] == trained.train.height
    assert manifest["library"] == active_addons.running_library()
    last = trained.train[contract.TIME].max() if contract.TIME else None
    assert manifest["trained_until"] == (last and last.isoformat())  # type: ignore[union-attr]
    parity = manifest["parity"]
    used = next(each for each in parity["formats"] if each["format"] == manifest["format"])
    assert used["ok"] and used["microseconds_one_row"] > 0
    assert 0 <= parity["max_difference"] == used["max_difference"] <= parity["tolerance"]
    assert parity["rows"] > pl.read_parquet(release_folder / bundle.PARITY).height > 1_000


def test_every_file_is_there_and_hashed(release_folder: Path) -> None:
    there = set(bundle.paths_of(release_folder))
    listed = set(bundle.read_manifest(release_folder)["files"])

    assert there - listed == {bundle.MANIFEST, bundle.SIGNATURE}
    assert listed >= {
        *(bundle.CONTRACT, bundle.METRICS, bundle.SLICES, bundle.COMPARISON, bundle.CARD),
        *(bundle.REFERENCE, bundle.PARITY),
    }
    assert not [name for name in there if name.endswith((".pkl", ".pickle", ".joblib", ".pyc"))]


@pytest.mark.tried(
    "Find the row of a person in a signed release",
    "there is none: rows are shuffled column by column",
)
def test_no_row_of_the_data_is_in_a_release(release_folder: Path, trained: Trained) -> None:
    reference = pl.read_parquet(release_folder / bundle.REFERENCE)
    parity = pl.read_parquet(release_folder / bundle.PARITY)

    names = [expression.meta.output_name() for expression in contract.FEATURES]
    assert reference.columns == [*names, "prediction"]
    assert reference.height == min(trained.train.height, 10_000)
    assert parity.columns == [*COLUMNS, "prediction"]
    data = pl.concat([trained.train.select(COLUMNS), trained.test.select(COLUMNS)])
    assert parity.join(data, on=COLUMNS, nulls_equal=True).is_empty()
    learned = trained.train.select(contract.FEATURES)
    learned = learned.with_columns(prediction=estimator.predict(trained.estimator, trained.train))
    assert reference.join(learned, on=reference.columns, nulls_equal=True).is_empty()
    for name in names:  # each column alone is that of training
        assert_series_equal(reference[name].sort(), learned[name].sort())


def test_the_contract_lists_every_column_with_its_type_and_rules(written: dict[str, Any]) -> None:
    assert [column["name"] for column in written["columns"]] == COLUMNS
    for column in written["columns"]:
        promised = SCHEMA.columns[column["name"]]
        assert dtype_of(column["polars"]) == promised.dtype.type
        assert column["required"] == (not promised.nullable and column["default"] is None)
        assert column["description"] == promised.description
    assert written["target"] == contract.TARGET
    assert written["time"] == contract.TIME
    assert written["key"] == (SCHEMA.unique or [])


def test_the_example_keeps_the_contract_and_is_not_a_real_row(
    written: dict[str, Any], trained: Trained
) -> None:
    moments = {"date": date, "datetime": datetime}
    example = {
        column["name"]: moments[column["dtype"]].fromisoformat(value)
        if column["dtype"] in moments and value is not None
        else value
        for column in written["columns"]
        for value in [written["example"][column["name"]]]
    }
    row = pl.DataFrame([example], schema={n: SCHEMA.columns[n].dtype.type for n in COLUMNS})

    _, problems = inspect(row, SCHEMA.remove_columns([contract.TARGET]), "example")

    assert [str(problem) for problem in problems] == []
    assert list(written["example"]) == COLUMNS
    rows = trained.train.select(COLUMNS)
    for name in COLUMNS:
        assert row[name][0] in rows[name]


class Everything(pa.DataFrameModel):
    """A row with every rule that a contract can hold."""

    bounded: pl.Int16 = pa.Field(ge=1, le=9, description="Bounded", metadata={"unit": "m"})
    open: float = pa.Field(gt=0, lt=1)
    between: pl.Float32 = pa.Field(in_range={"min_value": 0, "max_value": 2, "include_max": False})
    chosen: str = pa.Field(isin=["a", "b"])
    equal: str = pa.Field(eq="a")
    matched: str = pa.Field(str_matches="[a-z]+$")
    held: str = pa.Field(str_contains="x")
    long: str = pa.Field(str_length={"min_value": 1, "max_value": 3})
    day: pl.Date = pa.Field()
    moment: pl.Datetime(time_unit="ms", time_zone="UTC") = pa.Field()  # type: ignore[valid-type]
    yes: bool = pa.Field()
    blank: float = pa.Field(nullable=True)
    filled: pl.Int64 = pa.Field(nullable=True, metadata={"default": 7})
    default: str = pa.Field(default="none")
    barred: pl.Int64 = pa.Field(ge=0, notin=[4])
    target: bool = pa.Field()


class Case(pa.DataFrameModel):
    """A case, with a number of its own."""

    number: str = pa.Field()
    branch: str = pa.Field()
    target: bool = pa.Field()


def test_the_example_holds_no_text_that_names_one_case() -> None:
    """/model, /docs and the bundle show it to others than the data is shown to."""
    dataset = ModuleType("dataset")
    vars(dataset).update(Row=Case, TARGET="target", TIME=None)
    numbers = [f"S-{number:03}" for number in range(40)]
    rows = pl.DataFrame(
        {"number": numbers, "branch": ["north", "south"] * 20, "target": [True] * 40}
    )

    result = contract_file.contract(dataset, rows.select("branch"), rows, "classification", "yes")

    assert result["example"]["branch"] == "north"
    assert result["example"]["number"] not in numbers


def contract_of(row: type[pa.DataFrameModel]) -> dict[str, dict[str, Any]]:
    dataset = ModuleType("dataset")
    vars(dataset).update(Row=row, TARGET="target", TIME=None)
    schema = {name: column.dtype.type for name, column in row.to_schema().columns.items()}
    rows = pl.DataFrame({name: [None] for name in schema}, schema=schema)
    features = pl.DataFrame({"bounded": [1]})
    result = contract_file.contract(dataset, features, rows, "classification", "yes")
    json.dumps(result, allow_nan=False)
    return {column["name"]: column for column in result["columns"]}


def test_rules_are_taken_from_the_schema() -> None:
    columns = contract_of(Everything)

    def rules(name: str) -> dict[str, Any]:
        plain = ("name", "dtype", "polars", "required", "description", "unit")
        held = {key: value for key, value in columns[name].items() if value not in (None, [])}
        return {key: value for key, value in held.items() if key not in plain}

    assert {name: rules(name) for name in columns} == {
        "bounded": {"ge": 1, "le": 9},
        "open": {"gt": 0, "lt": 1},
        "between": {"ge": 0, "lt": 2},
        "chosen": {"isin": ["a", "b"]},
        "equal": {"isin": ["a"]},
        "matched": {"pattern": "^[a-z]+$"},
        "held": {"pattern": "x"},
        "long": {"min_length": 1, "max_length": 3},
        "day": {},
        "moment": {},
        "yes": {},
        "blank": {"default_share": 1.0},
        "filled": {"default": 7, "default_share": 1.0},
        "default": {"default": "none"},
        "barred": {"ge": 0, "unchecked": ["notin([4])"]},
    }
    assert [name for name in columns if not columns[name]["required"]] == [
        *("blank", "filled", "default")
    ]
    assert [columns[name]["dtype"] for name in ("bounded", "open", "chosen", "yes", "day")] == [
        *("int", "float", "str", "bool", "date")
    ]
    assert columns["moment"]["dtype"] == "datetime"
    assert columns["bounded"]["unit"] == "m"


def test_a_column_that_cannot_be_queried_is_named() -> None:
    class Odd(pa.DataFrameModel):
        parts: pl.List(pl.Int64) = pa.Field()  # type: ignore[valid-type]
        target: bool = pa.Field()

    with pytest.raises(VersionError, match="column `parts`: List"):
        contract_of(Odd)


@pytest.mark.parametrize(
    "dtype", [*PLAIN.values(), pl.Datetime("ns"), pl.Datetime("us", "Europe/Berlin")], ids=str
)
def test_a_type_is_read_as_it_was_written(dtype: pl.DataType) -> None:
    assert dtype_of(text_of(dtype)) == dtype
    assert family_of(dtype) in ("bool", "int", "float", "str", "date", "datetime")


@pytest.mark.parametrize("text", ["", "List(Int64)", "Int7", "Datetime", "__import__('os')"])
def test_text_that_names_no_type_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        dtype_of(text)


def test_an_export_is_tried_at_the_edges_of_the_contract() -> None:
    columns = list(contract_of(Everything).values())
    values = {"bounded": 3, "open": 0.5, "chosen": "a", "matched": "az", "held": "x", "blank": 1.0}
    schema = {column["name"]: dtype_of(column["polars"]) for column in columns}
    rows = pl.DataFrame({name: [values.get(name)] for name in schema}, schema=schema)

    cases = {case for case, _ in export.edge_cases(rows, columns)}

    assert {"`bounded` 1", "`bounded` 9", "`chosen` 'b'", "`blank` empty"} <= cases
    assert any(re.fullmatch("`matched` '[a-z]{2}'", case) for case in cases)
    assert {"`yes` True", "`yes` False", "`filled` 7"} <= cases
    assert "`filled` empty" not in cases
    assert not [case for case in cases if case.startswith("`held`")]  # no such text was found


def test_edges_that_the_model_has_no_answer_for_are_reported() -> None:
    class Model(RegressorMixin, BaseEstimator):
        def predict(self, features: pl.DataFrame) -> np.ndarray:
            if features["number"].null_count():
                raise ValueError("no number")
            return features["number"].to_numpy()

    rows = pl.DataFrame({"number": [1.0, 2.0]})
    column = {"name": "number", "dtype": "float", "required": False, "default": None}
    column |= {"ge": 0.0, "le": None, "isin": None, "pattern": None}

    features, unanswered = export.trial_rows(
        Model(), rows, rows, rows.head(1), [pl.col("number")], [column], seed=1
    )

    assert unanswered == ["`number` empty: ValueError"]
    assert features["number"].to_list() == [1.0, 2.0, 1.0, 2.0, 1.0, 0.0, 0.0]


def test_a_release_that_fails_leaves_nothing(write: Write, tmp_path: Path) -> None:
    class Silent(RegressorMixin, BaseEstimator):
        def predict(self, features: pl.DataFrame) -> np.ndarray:
            return np.full(features.height, np.nan)

    with pytest.raises(VersionError, match="no finite prediction for"):
        write(Silent())

    assert list(tmp_path.glob("[!.]*")) == []
    assert not list(tmp_path.glob(f"{files.DRAFT_FOLDER}*"))


@pytest.mark.parametrize("is_signed", [True, False])
def test_a_release_that_the_service_would_refuse_leaves_what_was_there(
    write: Write,
    is_signed: bool,
    release_private_key: bytes,
    release_folder: Path,
    release_key: bytes,
    tmp_path: Path,
    monkeypatch: Patch,
) -> None:
    def refuse(*arguments: Any) -> None:
        raise BundleError("too slow")

    shutil.copytree(release_folder, tmp_path / release_folder.name)
    monkeypatch.setattr(make.released, "load", refuse)

    with pytest.raises(BundleError, match="(?s)^too slow\nlightgbm: not used: "):
        write(key=release_private_key if is_signed else None)

    assert [path.name for path in tmp_path.glob("[!.]*")] == [release_folder.name]
    verify(tmp_path / release_folder.name, release_key)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema": 99}, "schema 99"),
        ({"id": None}, "`id` is missing"),
        ({"files": []}, "`files` is missing or not a dict"),
    ],
)
def test_a_manifest_of_another_kind_is_refused(
    release_folder: Path, tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    manifest = bundle.read_manifest(release_folder) | change
    (tmp_path / bundle.MANIFEST).write_text(json.dumps(manifest))

    with pytest.raises(BundleError, match=reason):
        bundle.read_manifest(tmp_path)


@pytest.fixture(scope="module")
def project(
    trained: Trained, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, dict[str, str]]]:
    """A registry with one version, the data it was made from, and keys, in a folder of its own."""
    folder = tmp_path_factory.mktemp("project")
    rows = pl.concat([trained.train, trained.test])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        patch.setenv("RELEASES", str(folder / "releases"))
        patch.setenv("RELEASE_KEY", str(folder / "release.pub"))
        patch.delenv("RELEASE_PRIVATE_KEY", raising=False)
        metric = params()["score"]["metric"]
        here = moved(
            patch,
            rows=folder / "rows",
            train=folder / "train.parquet",
            test=folder / "test.parquet",
            model_file=folder / "model",
            reports=folder,
            metrics=folder / "metrics.json",
            predictions=folder / "predictions.parquet",
            report=folder / "report",
        )
        shutil.copy(current().root / "params.toml", folder)
        moved(patch, last_run, root=folder)
        patch.setattr(signing, "private_key_file", lambda: folder / ".keys/release.pem")
        patch.setattr(model_card, "prose_file", lambda: folder / "model_card.md")
        rows.write_parquet(here.rows)
        trained.train.write_parquet(here.train)
        trained.test.write_parquet(here.test)
        estimator.save(trained.estimator, here.model_file)
        predicted = estimator.predict(trained.estimator, trained.test)
        trained.test.with_columns(predicted=predicted).write_parquet(here.predictions)
        here.metrics.write_text(json.dumps({metric: 0.25}))
        (folder / "slices.json").write_text("[]")
        (folder / "comparison.json").write_text('{"better": true}')
        model_card.prose_file().write_text("# What it is for\n")
        tags = FACTS | {"data_hash": last_run.data_hash(), "git_dirty": "true"}
        made = record_run.record(
            {name: tags[name] for name in tags if name not in ("model", "version", "run_id")}
        )
        home = Path(importlib.import_module(contract.Row.__module__).__file__ or "").parent
        client = registry.client()
        client.log_artifacts(made["run_id"], str(home.parent), versions.CODE)
        yield folder, made


def test_poe_release_without_a_key_names_the_command(
    project: tuple[Path, dict[str, str]], run_verb: RunVerb
) -> None:
    code, output = run_verb(make.main)

    assert code == 1
    assert "uv run poe keys" in output
    assert not (project[0] / "releases").exists()


def test_poe_release_unsigned_needs_no_key_and_touches_no_candidates(
    project: tuple[Path, dict[str, str]], run_verb: RunVerb, monkeypatch: Patch
) -> None:
    folder, made = project
    monkeypatch.setattr(signing, "private_key_file", lambda: folder / "nowhere.pem")

    code, output = run_verb(make.main, "--unsigned", str(folder / "built"))

    assert code == 0, output
    (written,) = (folder / "built").glob("[!.]*")
    assert f"built {written.name}, unsigned" in output
    assert bundle.SIGNATURE not in bundle.paths_of(written)
    manifest = bundle.read_manifest(written)
    assert (manifest["run_id"], manifest["files"]) == (made["run_id"], bundle.files_of(written))
    assert not (folder / "releases").exists()


@pytest.fixture(scope="module")
def keys(project: tuple[Path, dict[str, str]]) -> None:
    """The key pair of the project; tests before the first one that uses it have none."""
    signing.make_pair(signing.private_key_file(), project[0] / "release.pub")


@pytest.mark.usefixtures("keys")
def test_poe_release_writes_the_registrys_version_once(
    project: tuple[Path, dict[str, str]], trained: Trained, run_verb: RunVerb
) -> None:
    folder, made = project
    # What is in model/ by now is of no concern.
    current().model_file.unlink(missing_ok=True)

    code, output = run_verb(make.main)

    assert code == 0, output
    (written,) = (folder / "releases/candidates").glob("[!.]*")
    assert written.name in output
    manifest = verify(written, (folder / "release.pub").read_bytes())
    assert manifest["run_id"] == made["run_id"]
    assert manifest["git_dirty"] == "true"
    assert "made from uncommitted changes" in output
    assert json.loads((written / bundle.METRICS).read_text()) == {params()["score"]["metric"]: 0.25}
    assert (written / bundle.CARD).read_text().startswith("# What it is for")
    assert "version 1 of the registry" in (written / bundle.CARD).read_text()
    parity = pl.read_parquet(written / bundle.PARITY)
    np.testing.assert_array_equal(
        parity["prediction"].to_numpy(), estimator.predict(trained.estimator, parity)
    )

    before = (written / bundle.SIGNATURE).read_bytes()
    code, output = run_verb(make.main, "1")
    assert (code, "was released before" in output) == (0, True)
    assert (written / bundle.SIGNATURE).read_bytes() == before


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize(
    ("arguments", "broken", "reason"),
    [
        (["7"], None, "There is no version 7 of"),
        (["1"], "TRAIN", "are missing"),
        (["1"], "data_hash", "was made from other rows"),
        (["1"], "seed", "with seed ="),
        (["1"], "PROSE", "write what the model is for"),
        (["1"], "CODE", "neither in this clone nor in the registry"),
    ],
)
def test_poe_release_says_what_is_missing_and_writes_nothing(
    project: tuple[Path, dict[str, str]],
    run_verb: RunVerb,
    monkeypatch: Patch,
    arguments: list[str],
    broken: str | None,
    reason: str,
) -> None:
    folder, _ = project
    monkeypatch.setenv("RELEASES", str(folder / "others"))
    if broken == "TRAIN":
        moved(monkeypatch, train=folder / "nowhere.parquet")
    elif broken == "data_hash":
        monkeypatch.setattr(last_run, "data_hash", lambda: "0" * 32)
    elif broken == "seed":
        monkeypatch.setattr(versions, "params", lambda: params() | {"seed": -1})
    elif broken == "PROSE":
        monkeypatch.setattr(model_card, "prose_file", lambda: folder / "nowhere.md")
    elif broken == "CODE":
        monkeypatch.setattr(versions, "CODE", "nowhere")

    code, output = run_verb(make.main, *arguments)

    assert code == 1
    assert reason in output
    assert not list((folder / "others").rglob("*"))


@pytest.mark.parametrize(
    ("raised", "seen"),
    [(UnreadableFileError, VersionError), (VersionError, VersionError), (StageError, StageError)],
)
def test_a_fault_of_src_is_not_said_of_the_versions_model(
    raised: type[StageError], seen: type[OpsError], tmp_path: Path, monkeypatch: Patch
) -> None:
    def load(path: Path) -> None:
        raise raised("it cannot be loaded")

    monkeypatch.setattr(estimator, "load", load)

    with pytest.raises(OpsError, match="^it cannot be loaded$") as error:
        versions.estimator_of(SimpleNamespace(), tmp_path, lambda *_: tmp_path)  # type: ignore[arg-type]

    assert type(error.value) is seen


def test_a_version_whose_commit_is_here_is_released_with_that_commits_source(
    project: tuple[Path, dict[str, str]], tmp_path: Path, monkeypatch: Patch
) -> None:
    commit = git.run(current().root, "rev-list", "-1", "HEAD", "--", "src").stdout.strip()
    if not commit:
        pytest.skip("src/ is in no commit yet")
    tags = {"git_commit": commit, "git_dirty": "false"}

    result = versions.source_of(SimpleNamespace(tags=tags), tmp_path)  # type: ignore[arg-type]

    assert (result / "features.py").is_file()
    assert result.name == contract.package()


def test_a_refitted_model_serves_and_the_judged_one_says_how_good(
    write: Write, trained: Trained, monkeypatch: Patch
) -> None:
    rows = window.all_rows(trained.train, trained.test)
    monkeypatch.setattr(make, "since_change", lambda _, times: times.sort()[-500])

    made = write(refitted=fit(rows))

    manifest = bundle.read_manifest(made)
    judged = estimator.predict(trained.estimator, trained.test)
    figures = contract.score(estimator.truth(trained.test), judged)
    assert json.loads((made / bundle.METRICS).read_text()) == figures
    assert (manifest["refit"], manifest["training_rows"]) == (True, rows.height)
    assert manifest["trained_until"] == manifest["data_until"]
    assert manifest["judged_from"] == (contract.TIME and _iso(trained.test, "min"))
    parity = pl.read_parquet(made / bundle.PARITY)
    served = estimator.predict(fit(rows), parity)
    np.testing.assert_array_equal(parity["prediction"].to_numpy(), served)
    edges = manifest["parity"]["rows"] - parity.height - rows.height
    assert 0 < edges < trained.test.height  # so that no row of the data is compared twice
    (note,) = (line for line in make.summary(made) if line.startswith("note: judged on"))
    assert note.endswith(f"to all {rows.height:,} rows: shadow and canary judge it")
    if contract.TIME is not None:
        reference = pl.read_parquet(made / bundle.REFERENCE)
        newer = rows.filter(pl.col(contract.TIME) >= rows[contract.TIME].sort()[-500])
        assert reference.height == newer.height < rows.height  # those since the world changed
        unseen = judge.unseen_rows(trained.test, manifest["trained_until"])
        assert unseen is not None
        assert not unseen.any()


def _iso(rows: pl.DataFrame, which: str) -> str:
    return str(getattr(rows[str(contract.TIME)], which)().isoformat())
