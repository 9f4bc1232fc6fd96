"""A person's rows go out of log, outcomes, data, caches; what stays is said, and that it was done."""

import base64
import json
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandera.polars as pa
import polars as pl
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from machinery.governance.tests.conftest import Patch, pem
from machinery.tests.autopilot.repository import git
from machinery.tests.in_project import copied
from rung_governance.privacy import erasure
from rung_governance.privacy.erasure import Subject
from rung_ops import contract, prediction_log
from rung_ops.contract import raw_file
from rung_ops.data.ingest import sample_rows
from rung_ops.prediction_log import Batch, sealed
from rung_ops.serving import log_writer
from rung_ops.serving.log_writer import LogFiles

PERSON = "request-7"
COUNT = 20


@dataclass(frozen=True)
class Project:
    """A project with data that DVC versions, a prediction log and outcomes."""

    folder: Path
    environ: dict[str, str]

    def run(self, *arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=self.folder,
            env=os.environ | self.environ | {"PYTHONPATH": str(self.folder / "src")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def erase(self, *arguments: str, code: int = 0) -> str:
        return self.run("rung_ops", "governance", "erase", *arguments, code=code)

    @property
    def log(self) -> Path:
        return self.folder / "logs/production/predictions"

    @property
    def raw(self) -> Path:
        return self.folder / "data/incoming/applications.parquet"

    def audited(self) -> dict[str, object]:
        line = (self.folder / "releases/production/history.jsonl").read_text().splitlines()[-1]
        return dict(json.loads(line))


def batch(rows: pl.DataFrame, first: int = 0) -> Batch:
    return Batch(
        time=prediction_log.now(),
        ids=[f"request-{number}" for number in range(first, first + rows.height)],
        release="v1",
        arm="serving",
        rows=rows,
        features=rows.select(contract.FEATURES),
        predictions=np.linspace(0, 1, rows.height),
    )


@pytest.fixture
def rows() -> pl.DataFrame:
    """Rows of the sample, each another person's."""
    names = [name for name in sample_rows().columns if name != contract.TARGET]
    return sample_rows().unique(names, maintain_order=True).head(COUNT)


@pytest.fixture
def project(tmp_path: Path, rows: pl.DataFrame, signing_key: ec.EllipticCurvePrivateKey) -> Project:
    folder = copied(tmp_path / "project")
    shutil.rmtree(folder / "models", ignore_errors=True)  # their data is not counted here
    ada = {"NAME": "Ada", "EMAIL": "ada@example.org"}
    who = {f"GIT_{role}_{n}": ada[n] for role in ("AUTHOR", "COMMITTER") for n in ada}
    made = Project(folder, {"AUDIT_PRIVATE_KEY": pem(signing_key).decode()} | who)
    rows.write_parquet(made.raw)
    git(folder, "init", "--quiet", "-b", "main")
    made.run("dvc", "add", "data/incoming/applications.parquet")
    git(folder, "add", "-A")
    git(folder, "commit", "--quiet", "-m", "Start")
    asked = rows.drop(contract.TARGET)
    prediction_log.write_predictions(prediction_log.assemble([batch(asked)]), made.log)
    known = {"id": [PERSON, "request-8"], contract.TARGET: rows[contract.TARGET][:2].to_list()}
    (folder / "data/outcomes").mkdir()
    pl.DataFrame(known).write_csv(folder / "data/outcomes/known.csv")
    rows.write_parquet(folder / "data/rows.parquet")
    return made


def held(path: Path) -> int:
    return pl.read_parquet(path, hive_partitioning=False).height


def stored(project: Project) -> list[Path]:
    """List what DVC's cache holds."""
    return sorted((project.folder / ".dvc/cache/files").rglob("*/*/*"))


@pytest.mark.tried(
    "Find a person after `poe erase ID --yes`",
    "gone; what was not reached is named, also in the audit log",
)
def test_a_person_is_erased_by_the_id_of_a_prediction(project: Project, rows: pl.DataFrame) -> None:
    (before,) = stored(project)

    output = project.erase(PERSON, "--yes", "--reason", "Request 12", "--by", "Olga Officer")

    log = prediction_log.read(project.log).collect()
    assert log.height == COUNT - 1 and PERSON not in log["id"].to_list()
    assert pl.read_csv(project.folder / "data/outcomes/known.csv")["id"].to_list() == ["request-8"]
    gone = rows[7 : 7 + 1]
    for path in (project.raw, project.folder / "data/rows.parquet"):
        kept = pl.read_parquet(path)
        assert kept.equals(rows.filter(pl.int_range(pl.len()) != 7))
        assert kept.join(gone, on=gone.columns, nulls_equal=True).is_empty()
    assert not before.exists() and len(stored(project)) == 1, "the old version left the cache"
    assert git(project.folder, "log", "-1", "--format=%s") == "Erase rows of a person"
    assert git(project.folder, "status", "--porcelain", "data") == ""
    assert "gc --workspace --cloud --remote local" in output
    assert "Models that learned" in output
    assert "Erased: 4 files rewritten, 1 version deleted from the local cache." in output
    line = project.audited()
    detail: Any = line["detail"]
    assert (line["event"], line["by"], detail["reason"]) == ("erased", "Olga Officer", "Request 12")
    assert detail["rows"] == 4 and detail["files"] == 4 and len(detail["versions"]) == 1
    assert any("--remote local" in each for each in detail["unreached"])
    assert PERSON not in json.dumps(line)
    assert "anchors.jsonl" in os.listdir(project.folder / "releases/production"), "it is signed"


def test_rows_are_taken_out_of_an_encrypted_log_which_stays_encrypted(
    project: Project, monkeypatch: Patch
) -> None:
    (path,) = project.log.rglob("*.parquet")
    frame = pl.read_parquet(path, hive_partitioning=False)
    monkeypatch.setenv("LOG_KEYS", f"2026:{base64.b64encode(bytes(32)).decode()}")
    sealed.write(frame, path)

    project.erase(PERSON, "--yes", "--reason", "Request 12", "--by", "Olga Officer")

    log = prediction_log.read(project.log).collect()
    assert log.height == COUNT - 1 and PERSON not in log["id"].to_list()
    assert sealed.is_sealed(path) and not sealed.is_sealed(project.folder / "data/rows.parquet")


def test_without_yes_it_is_only_shown_also_at_which_remotes(project: Project) -> None:
    address = "https://data.example.org/" + "a-long-folder/" * 10 + "with a space"
    project.run("dvc", "remote", "add", "far", address.replace("//", "//ada:secret@"))
    before = {path: path.read_bytes() for path in erasure.files(project.folder)}

    output = project.erase(PERSON)

    assert "Nothing was changed" in output
    assert f"The remote far ({address}) keeps old versions." in output
    assert "The remote local (" in output
    assert "secret" not in output
    for name in ("known.csv", "applications.parquet: 1 row", "rows.parquet", "local cache"):
        assert name in output
    assert {path: path.read_bytes() for path in erasure.files(project.folder)} == before
    assert len(stored(project)) == 1
    assert not (project.folder / "releases/production/history.jsonl").exists()


def test_a_person_is_erased_by_values_of_columns(project: Project, rows: pl.DataFrame) -> None:
    named = [f"{name}={rows[name][3]}" for name in ("age", "amount", "months")]

    project.erase(*named, "--yes", "--reason", "Request 13")

    for path in (project.raw, *project.log.rglob("*.parquet")):
        assert held(path) == COUNT - 1
    assert "request-3" not in prediction_log.read(project.log).collect()["id"].to_list()


def test_what_cannot_be_rewritten_is_reported(project: Project, rows: pl.DataFrame) -> None:
    in_git = project.folder / "docs/some.csv"
    rows.write_csv(in_git)
    git(project.folder, "add", "docs/some.csv")
    bundle = project.folder / "releases/production/bundles/v1-old/parity.parquet"
    bundle.parent.mkdir(parents=True)
    rows.write_parquet(bundle)

    output = project.erase(PERSON, "--yes", "--reason", "Request 14")

    assert "docs/some.csv, 1 row: git holds it" in output
    assert "parity.parquet, 1 row: a signed release carries it" in output
    assert held(bundle) == COUNT and pl.read_csv(in_git).height == COUNT


def test_a_raw_file_in_git_that_load_reads_is_reported(project: Project) -> None:
    """Its own columns do not name the person: those of German credit have codes and no header."""
    sample = next((project.folder / "data/sample").glob("*.data"))
    dataset = next((project.folder / "src").glob("*/dataset.py"))
    text = dataset.read_text()
    dataset.write_text(text.replace('if path.suffix == ".csv":', "if False:"))
    sample.rename(sample.with_suffix(".csv"))
    git(project.folder, "add", "-A")

    output = project.erase("age=67", "amount=1169")

    assert "data/sample/german.csv, 1 row: git holds it" in output


def test_without_a_reason_or_the_key_nothing_is_erased(project: Project) -> None:
    assert "--reason" in project.erase(PERSON, "--yes", code=1)
    project.environ["AUDIT_PRIVATE_KEY"] = ""

    output = project.erase(PERSON, "--yes", "--reason", "Request 15", code=1)

    assert "Nothing was erased" in output
    assert held(project.raw) == COUNT


def test_equal_rows_of_the_log_are_named_but_count_as_anothers_by_default(
    project: Project, rows: pl.DataFrame
) -> None:
    again = batch(rows[7:8].drop(contract.TARGET), 99)
    prediction_log.write_predictions(prediction_log.assemble([again]), project.log)

    assert "The log has 1 prediction for equal rows: request-99" in project.erase(PERSON)

    project.erase(PERSON, "request-99", "--yes", "--reason", "Request 16")
    left = prediction_log.read(project.log).collect()["id"].to_list()
    assert len(left) == COUNT - 1 and not {PERSON, "request-99"} & set(left)


@pytest.mark.parametrize("named", [["a", " "], [" "], ["a=1", "b"]])
def test_who_is_not_named_clearly_is_not_erased(named: list[str]) -> None:
    with pytest.raises(ValueError, match="Name ids"):
        erasure.subject_of(named)


@pytest.mark.parametrize(
    ("values", "text", "is_first"),
    [
        ([4711, 47, None], "4711", True),
        ([4711, 47, None], "4711x", False),
        (["4711", "04711", None], "4711", True),
        ([1.5, 2.0, None], "1.5", True),
        ([True, False, None], "true", True),
        ([date(2026, 1, 31), date(2026, 2, 1), None], "2026-01-31", True),
        ([2**63 - 1, 2**63 - 2, None], str(2**63 - 1), True),
    ],
)
def test_values_are_compared_as_what_they_are(
    values: list[object], text: str, is_first: bool
) -> None:
    mask = Subject({"x": text}).mask(pl.DataFrame({"x": values}))
    assert mask.to_list() == [is_first, False, False]


def test_a_column_is_named_as_row_names_it(monkeypatch: Patch) -> None:
    schema = pa.DataFrameSchema({"claim id": pa.Column(str)})
    monkeypatch.setattr(contract, "Row", SimpleNamespace(to_schema=lambda: schema))

    columns = {"claim id": "C1", "sex": "F"}
    assert erasure.subject_of(["claim id=C1", "sex=F"]).columns == columns
    assert erasure.subject_of(["Zm9v="]).ids == {"Zm9v="}


def test_equal_rows_are_found_in_a_table_of_texts(monkeypatch: Patch, tmp_path: Path) -> None:
    """A CSV file has texts: of its own, as `poe predict` wrote it, or as it came."""
    moment = datetime(2026, 1, 31, 8, 5)
    values = {"day": [date(2026, 1, 31)] * 2, "at": [moment] * 2, "yes": [True, False]}
    rows = pl.DataFrame(values | {"number": [1, None]}, schema_overrides={"number": pl.Int64})
    schema = pa.DataFrameSchema({n: pa.Column(t, nullable=True) for n, t in rows.schema.items()})
    monkeypatch.setattr(contract, "Row", SimpleNamespace(to_schema=lambda: schema))
    rows.write_csv(tmp_path / "scored.csv")
    as_it_came = pl.DataFrame({"day": ["31.1.26"], "at": ["now"], "yes": ["tak"], "number": ["1"]})
    subject = Subject(rows=rows[:1])

    assert subject.mask(erasure.read(tmp_path / "scored.csv")).to_list() == [True, False]
    assert subject.mask(as_it_came).to_list() == [False]


def test_all_columns_have_to_hold() -> None:
    frame = pl.DataFrame({"a": [1, 1], "b": ["x", "y"]})
    assert Subject({"a": "1", "b": "y"}).mask(frame).to_list() == [False, True]
    assert not Subject({"a": "1", "other": "y"}).mask(frame).any()
    assert not Subject().mask(frame).any()


def test_only_the_holder_of_the_key_can_tell_whose_it_was(
    signing_key: ec.EllipticCurvePrivateKey, monkeypatch: Patch
) -> None:
    monkeypatch.setenv("AUDIT_PRIVATE_KEY", pem(signing_key).decode())
    mine = erasure.pseudonym(["customer=1"])
    assert mine == erasure.pseudonym(["customer=1"]) != erasure.pseudonym(["customer=2"])

    monkeypatch.setenv("AUDIT_PRIVATE_KEY", pem(ec.generate_private_key(ec.SECP256R1())).decode())
    assert erasure.pseudonym(["customer=1"]) != mine


@pytest.mark.tried(
    "Have a service that merges its log bring back rows that are being erased",
    "merging and erasing take turns",
)
@pytest.mark.parametrize("while_", ["it merges", "it has merged"])
def test_a_service_that_merges_meanwhile_restores_nothing(
    rows: pl.DataFrame, tmp_path: Path, monkeypatch: Patch, while_: str
) -> None:
    monkeypatch.setenv("LOGS", str(tmp_path))
    asked = rows.drop(contract.TARGET)
    files = LogFiles(tmp_path / "production/predictions")
    for first in (0, 10):
        files.write(prediction_log.assemble([batch(asked[first : first + 10], first)]))
    places = erasure.FoundRows(erasure.widened(Subject(ids=frozenset([PERSON]))))
    eraser = threading.Thread(target=erasure._log, args=(places,))
    write = prediction_log.write

    def slowly(*given: object) -> object:
        if while_ == "it merges":  # it has read the small files, and has not written the large one
            eraser.start()
            eraser.join(0.5)
        return write(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(log_writer.prediction_log, "write", slowly)
    files.merge(everything=True)
    if while_ == "it has merged":
        eraser.start()
    eraser.join(30)

    written = sorted((tmp_path / "production/predictions").rglob("*.parquet"))
    assert len(written) == 3
    for path in written:
        assert PERSON not in pl.read_parquet(path, hive_partitioning=False)["id"].to_list()
    assert prediction_log.read(files.folder).collect().height == COUNT - 1


def test_a_service_goes_on_writing_after_its_files_lost_rows(
    rows: pl.DataFrame, tmp_path: Path, monkeypatch: Patch
) -> None:
    monkeypatch.setenv("LOGS", str(tmp_path))
    asked = rows.drop(contract.TARGET)
    files = LogFiles(tmp_path / "production/predictions")
    files.write(prediction_log.assemble([batch(asked[:1], 7)]))  # a file of the person alone
    erasure._log(erasure.FoundRows(erasure.widened(Subject(ids=frozenset([PERSON])))))
    files.write(prediction_log.assemble([batch(asked[1:3], 8)]))
    files.merge(everything=True)

    log = prediction_log.read(files.folder).collect()

    assert sorted(log["id"].to_list()) == ["request-8", "request-9"]


def test_a_raw_file_that_rung_wrote_is_still_read_without_load(tmp_path: Path) -> None:
    path = tmp_path / "served.parquet"
    raw_file.write_rows(pl.DataFrame({"id": [PERSON, "request-8"]}), path)
    assert erasure.take_out(path, Subject(ids=frozenset([PERSON]))) == 1
    assert raw_file.is_row_file(path)


def test_a_file_keeps_its_mode_and_its_text(tmp_path: Path) -> None:
    path = tmp_path / "some.csv"
    path.write_text("id,amount\nrequest-7,1.50\nrequest-8,007\n")
    path.chmod(0o640)

    assert erasure.take_out(path, Subject(ids=frozenset([PERSON]))) == 1

    assert path.read_text() == "id,amount\nrequest-8,007\n"
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_person_is_erased_from_a_folder_that_dvc_versions_as_one(project: Project) -> None:
    folder = project.raw.with_suffix("")
    project.run("dvc", "remove", "data/incoming/applications.parquet.dvc")
    folder.mkdir()
    part = project.raw.rename(folder / "part.parquet")
    project.run("dvc", "add", "data/incoming/applications")
    git(project.folder, "add", "-A")
    git(project.folder, "commit", "--quiet", "-m", "Keep parts")
    (before,) = (path for path in stored(project) if path.suffix != ".dir")

    project.erase(PERSON, "--yes", "--reason", "Request 12", "--by", "Olga Officer")

    assert held(part) == COUNT - 1 and not before.exists()
    assert git(project.folder, "log", "-1", "--format=%s") == "Erase rows of a person"
    assert git(project.folder, "status", "--porcelain", "data") == ""


def test_what_a_stage_made_is_searched_if_a_table_and_named_if_it_may_hold_rows(
    project: Project,
) -> None:
    digest = "ab" * 16
    kept = project.folder / ".dvc/cache/files/md5"
    for folder, name, said in (
        ("model/refit", "judged.json", ""),
        ("model/refit", "rows.csv", "Not in the local cache, and not searched: 1 version"),
        ("data/features", "rows.feather", "data/features/rows.feather, version files/md5/cd/"),
    ):
        out = {"path": folder, "md5": f"{digest}.dir"}
        (project.folder / "dvc.lock").write_text(json.dumps({"stages": {"own": {"outs": [out]}}}))
        for md5, text in (
            (f"{digest}.dir", json.dumps([{"md5": "cd" * 16, "relpath": name}])),
            ("cd" * 16, "any"),
        ):
            (kept / md5[:2]).mkdir(parents=True, exist_ok=True)
            (kept / md5[:2] / md5[2:]).write_text(text)
        if name == "rows.csv":
            (kept / "cd" / ("cd" * 15)).unlink()

        output = project.erase(PERSON)

        assert said in output
        assert ("judged" in output, "feather" in output) == (False, name == "rows.feather")
        assert "examples in reports/explanations.json" in output
