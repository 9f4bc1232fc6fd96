"""The prediction log is encrypted where there is a key, and read as before."""

import base64
import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from machinery.tests.projects import moved
from rung_ops import prediction_log
from rung_ops.batch import predict_logged
from rung_ops.errors import SettingsError, StageError
from rung_ops.prediction_log import sealed
from rung_ops.project import service_settings
from rung_ops.project.service_settings import Logging
from rung_ops.serving import log_writer, serve
from rung_ops.system import key_names


def key(name: str) -> str:
    return f"{name}:{base64.b64encode(os.urandom(32)).decode()}"


OLD, NEW = key("2026"), key("2027")


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(key_names.LOG, raising=False)


def frame(*ids: str) -> pl.DataFrame:
    count = len(ids)
    time = int(datetime(2026, 1, 31, tzinfo=UTC).timestamp() * 1e6)
    rows, features = (
        pl.DataFrame({"name": ["Ada Lovelace"] * count}),
        pl.DataFrame({"n": [1] * count}),
    )
    batch = prediction_log.Batch(time, ids, "v1", "serving", rows, features, np.zeros(count))
    return prediction_log.assemble([batch])


def written(folder: Path, *ids: str) -> Path:
    (path,) = prediction_log.write_predictions(frame(*ids), folder)
    return path


def ids(folder: Path) -> set[str]:
    log = prediction_log.read(folder)
    return set(log.filter(pl.col("release") == "v1").select("id").collect()["id"])


@pytest.mark.tried(
    "Read the prediction log from a copy of its disk",
    "the files are encrypted where `LOG_KEYS` is set",
)
def test_what_is_written_with_a_key_is_read_with_it_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = written(tmp_path, "a")
    monkeypatch.setenv(key_names.LOG, OLD)
    encrypted = written(tmp_path, "b")

    assert ids(tmp_path) == {"a", "b"}
    assert prediction_log.read(tmp_path).collect().schema == frame("c").schema
    assert b"Ada Lovelace" in plain.read_bytes() and b"Ada Lovelace" not in encrypted.read_bytes()
    assert encrypted.stat().st_mode & 0o777 == 0o600

    monkeypatch.setenv(key_names.LOG, NEW)
    with pytest.raises(sealed.SealedError, match="with the key '2026', which LOG_KEYS lacks"):
        ids(tmp_path)
    monkeypatch.setenv(key_names.LOG, NEW.replace("2027", "2026"))
    with pytest.raises(sealed.SealedError, match="was not encrypted with this key"):
        ids(tmp_path)


def test_a_key_is_replaced_by_naming_another_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(key_names.LOG, OLD)
    written(tmp_path, "old")
    (tmp_path / "keys").write_text(f"{NEW}\n{OLD}\n")
    monkeypatch.delenv(key_names.LOG)
    monkeypatch.setenv(f"{key_names.LOG}_FILE", str(tmp_path / "keys"))
    new = written(tmp_path, "new")

    assert ids(tmp_path) == {"old", "new"}
    assert new.read_bytes().startswith(sealed.MAGIC + b"\x042027")


@pytest.mark.parametrize("at", [5, 14, 30, -1])
def test_a_file_that_was_changed_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    monkeypatch.setenv(key_names.LOG, OLD)
    path = written(tmp_path, "a")
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)

    with pytest.raises((sealed.SealedError, pl.exceptions.PolarsError)):
        ids(tmp_path)


def test_files_are_merged_and_stay_encrypted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(key_names.LOG, OLD)
    files = log_writer.LogFiles(tmp_path)
    for name in "abc":
        files.write(frame(name))
    files.merge(everything=True)

    (day,) = tmp_path.glob("date=*")
    (merged,) = prediction_log.parts(day)
    assert ids(tmp_path) == {"a", "b", "c"} and sealed.is_sealed(merged.path)


@pytest.mark.parametrize("listed", ["2026:short", "2026:" + "A" * 44, "nothing", "a:" + "%" * 44])
def test_an_invalid_list_stops_the_service_and_names_no_key(
    monkeypatch: pytest.MonkeyPatch, listed: str
) -> None:
    monkeypatch.setenv(key_names.LOG, listed)

    with pytest.raises(SettingsError, match="LOG_KEYS") as refused:
        serve.service_of("staging")
    assert listed.partition(":")[2] not in str(refused.value) or ":" not in listed


def test_the_service_does_not_start_without_the_required_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service_settings, "log_settings", lambda: Logging(encrypted=True))

    with pytest.raises(SettingsError, match="`encrypted` under .log. .* asks for a key"):
        serve.service_of("staging")


def test_a_model_beside_others_follows_the_setting_of_the_repository(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "models/second").mkdir(parents=True)
    (tmp_path / "ops").mkdir()
    (tmp_path / "ops/service.toml").write_text("[log]\nencrypted = true\n", encoding="utf-8")
    moved(monkeypatch, root=tmp_path / "models/second", repository=tmp_path)

    with (
        pytest.raises(StageError, match="Nothing was scored. `encrypted` under .log."),
        predict_logged.log_predictions(),
    ):
        pass


def test_a_variable_that_azure_does_not_have_is_not_a_list_of_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(key_names.LOG, f"$({key_names.LOG})")

    assert sealed.keys() == {}
