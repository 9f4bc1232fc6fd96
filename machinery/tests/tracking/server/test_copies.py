"""Runs and versions reach another store whole, once, also when copying is interrupted.

The other store is a SQLite file here, which MLflow's clients use as they use a server.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from machinery.tests.conftest import Patch
from machinery.tests.tracking.server.conftest import recorded
from rung_ops.tracking import registry, sync
from rung_ops.tracking.sync import COMPLETE, ORIGINAL, Copying


class Killed(BaseException):
    """Stands for the end of the process."""


def copying(here: MlflowClient, there: MlflowClient) -> Copying:
    """Begin to copy, as a process does that has just been started."""
    # To register, MLflow's SQLite store asks the store that is set for the process.
    mlflow.set_tracking_uri(there.tracking_uri)
    return Copying(here, there)


def runs_of(store: MlflowClient) -> list[Any]:
    experiment = store.get_experiment_by_name("tiny")
    assert experiment
    return list(store.search_runs([experiment.experiment_id]))


def test_everything_of_a_run_comes_along(here: MlflowClient, there: MlflowClient) -> None:
    (original,) = runs_of(here)

    list(sync.copy_all(copying(here, there)))

    (copy,) = runs_of(there)
    assert copy.data.params == original.data.params
    assert copy.data.metrics == original.data.metrics
    assert [(m.step, m.value) for m in there.get_metric_history(copy.info.run_id, "auc")] == [
        (m.step, m.value) for m in here.get_metric_history(original.info.run_id, "auc")
    ]
    for time in ("start_time", "end_time", "status"):
        assert getattr(copy.info, time) == getattr(original.info, time)
    text = there.download_artifacts(copy.info.run_id, "code/model.py")
    assert Path(text).read_text() == "as it was"
    version = there.get_model_version("tiny", "1")
    assert version.run_id == copy.info.run_id
    assert version.tags["git_commit"] == "one"
    assert str(there.get_model_version_by_alias("tiny", "challenger").version) == "1"


def test_the_model_loads_from_there_and_names_its_run(
    here: MlflowClient, there: MlflowClient, tmp_path: Path
) -> None:
    list(sync.copy_all(copying(here, there)))
    (tmp_path / "here").rename(tmp_path / "gone")

    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/there.db")
    loaded = mlflow.sklearn.load_model("models:/tiny/1")
    info = mlflow.models.get_model_info("models:/tiny/1")

    assert loaded.predict([[0]]).shape == (1,)
    assert info.run_id == runs_of(there)[0].info.run_id


def test_numbers_stay_where_the_registry_is_empty(here: MlflowClient, there: MlflowClient) -> None:
    for name in ("two", "three"):
        recorded(here, name)

    list(sync.copy_all(copying(here, there)))

    result = {v.tags["git_commit"]: str(v.version) for v in there.search_model_versions()}
    assert result == {"one": "1", "two": "2", "three": "3"}


def test_where_others_came_first_the_old_number_is_reported(
    here: MlflowClient, there: MlflowClient
) -> None:
    there.create_registered_model("tiny")
    there.create_model_version("tiny", "s3://elsewhere/model")
    there.set_registered_model_alias("tiny", "challenger", "1")
    reported = "\n".join(sync.copy_all(copying(here, there)))

    assert there.get_model_version("tiny", "2").tags["migrated_from"] == "1"
    assert "local version 1 of tiny is version 2 at the server" in reported
    assert "challenger stays version 1 of tiny at the server" in reported
    assert str(there.get_model_version_by_alias("tiny", "challenger").version) == "1"


WRITES = (
    *("create_run", "log_batch", "log_artifacts", "create_logged_model", "log_model_artifacts"),
    *("finalize_logged_model", "set_terminated", "set_tag", "create_model_version"),
    "set_registered_model_alias",
)


def test_a_second_time_copies_nothing(here: MlflowClient, there: MlflowClient) -> None:
    list(sync.copy_all(copying(here, there)))

    again = copying(here, there)
    reported = "\n".join(sync.copy_all(again))

    assert again.copied == 0
    assert "copied before" in reported
    assert len(runs_of(there)) == 1
    assert len(there.search_model_versions()) == 1


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("write", WRITES)
def test_killed_at_any_write_it_goes_on_from_there(
    here: MlflowClient, there: MlflowClient, monkeypatch: Patch, write: str, after: bool
) -> None:
    real: Callable[..., Any] = getattr(there, write)

    def killed(*arguments: Any, **named: Any) -> None:
        if after:
            real(*arguments, **named)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(there, write, killed)
        with pytest.raises(Killed):
            list(sync.copy_all(copying(here, there)))
    list(sync.copy_all(copying(here, there)))

    (copy,) = runs_of(there)
    assert copy.data.tags[COMPLETE] == "true"
    assert len(there.get_metric_history(copy.info.run_id, "auc")) == 3
    assert len(there.search_logged_models([copy.info.experiment_id])) == 1
    assert [str(v.version) for v in there.search_model_versions()] == ["1"]
    assert str(there.get_model_version_by_alias("tiny", "challenger").version) == "1"


def test_only_waiting_runs_are_copied_and_become_the_challenger(
    here: MlflowClient, there: MlflowClient
) -> None:
    waited = recorded(here, "meanwhile", waiting=True)
    assert sync.waiting() == 1

    list(sync.copy_waiting(copying(here, there)))

    (copy,) = runs_of(there)
    assert copy.data.tags[ORIGINAL] == waited
    assert registry.WAITING not in copy.data.tags
    assert there.get_model_version_by_alias("tiny", "challenger").tags["migrated_from"] == "2"
    assert sync.waiting() == 0
    assert here.get_run(waited).data.metrics == copy.data.metrics


def test_killed_before_it_was_noted_it_is_not_copied_twice(
    here: MlflowClient, there: MlflowClient, monkeypatch: Patch
) -> None:
    recorded(here, "meanwhile", waiting=True)

    def killed(*arguments: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(sync, "_mark_copied", killed)
        with pytest.raises(Killed):
            list(sync.copy_waiting(copying(here, there)))
    assert sync.waiting() == 1
    list(sync.copy_waiting(copying(here, there)))

    assert len(runs_of(there)) == 1
    assert len(there.search_model_versions()) == 1
    assert sync.waiting() == 0
