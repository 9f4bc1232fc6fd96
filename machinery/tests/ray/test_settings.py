"""Settings and addresses that cannot be are refused, with a word on what to do."""

import errno
from pathlib import Path

import pytest

from machinery.tests.projects import moved
from rung_ops.errors import StageError

pytest.importorskip("ray", reason="needs Ray: the extra `ray` of rung-ops")

from rung_ops.errors import SettingsError
from rung_ops.project import Project
from rung_ops.ray import connect, settings
from rung_ops.ray.settings import Settings
from rung_ops.system.processes import free_port


def test_the_file_as_it_comes_holds_what_the_code_takes_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert settings.settings() == Settings()

    monkeypatch.setattr(settings, "settings_file", lambda: tmp_path / "ray.toml")
    assert settings.settings() == Settings()


def test_the_environment_names_the_cluster_of_the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.5:6379")

    assert settings.settings().address == "10.0.0.5:6379"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[workers]\nworkers = 0", ">= 1"),
        ("[score]\nrow = 5", "unknown field `row`; did you mean `rows`"),
    ],
)
def test_what_cannot_be_is_refused(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ray.toml").write_text(text)
    monkeypatch.setattr(settings, "settings_file", lambda: tmp_path / "ray.toml")

    with pytest.raises(SettingsError, match=message):
        settings.settings()


@pytest.mark.parametrize("address", ["head", "ray://head:10001", "127.0.0.1:port"])
def test_an_address_of_another_kind_is_refused_at_once(address: str) -> None:
    with (
        pytest.raises(StageError, match="HOST:"),
        connect.connected(Settings(address=address)),
    ):
        pass


def test_a_cluster_that_is_not_there_is_named_at_once() -> None:
    port = free_port()

    with (
        pytest.raises(StageError, match=f"127.0.0.1:{port}"),
        connect.connected(Settings(address=f"127.0.0.1:{port}")),
    ):
        pass


def test_only_code_and_settings_travel_to_a_cluster(tmp_path: Path) -> None:
    sent = connect.sent(tmp_path)

    code = Path(sent["working_dir"])
    assert Project.find(code).repository == code, "a worker finds no [tool.rung]"
    assert (code / "ops/ray.toml").exists() and (code / "params.toml").exists()
    assert {path.name for path in code.iterdir() if path.is_dir()} <= {"ops", "model"}
    assert {path.suffix for path in (code / "ops").iterdir()} == {".toml"}
    assert not (code / ".env").exists()
    assert all(Path(package, "features.py").exists() for package in sent["py_modules"])


def test_another_model_travels_as_the_only_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "models/second"
    (model / "src/second").mkdir(parents=True)
    (model / "src/second/__init__.py").touch()
    (model / "params.toml").write_text("seed = 7\n")
    moved(monkeypatch, connect, root=model)

    sent = connect.sent(tmp_path)

    code = Path(sent["working_dir"])
    assert 'package = "second"' in (code / "pyproject.toml").read_text()
    assert (code / "params.toml").read_text() == "seed = 7\n"
    assert (code / "ops/ray.toml").exists()
    assert [Path(package).name for package in sent["py_modules"]] == ["second"]


def test_a_full_disk_is_called_one() -> None:
    worker = RuntimeError("Traceback (most recent call last): ...")
    worker.__cause__ = OSError(errno.ENOSPC, "No space left on device")

    assert "A disk is full" in connect.explain(worker)
