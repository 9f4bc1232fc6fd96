"""A small MLflow server as a process, and a local store with runs to copy to it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient
from sklearn.dummy import DummyClassifier

from rung_ops.system import processes
from rung_ops.tracking import last_run, registry, store_address


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep stores, policy and what MLflow remembers of them out of the project."""
    monkeypatch.setattr(store_address, "local_store", lambda: tmp_path / "here/mlflow.db")
    monkeypatch.setattr(store_address, "settings_file", lambda: tmp_path / "tracking.toml")
    monkeypatch.setattr(last_run, "run_file", lambda: tmp_path / "run.json")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name in ("MLFLOW_TRACKING_URI", store_address.LOCAL_ONLY):
        # Set first, so that what the code under test sets is undone too.
        monkeypatch.setenv(name, "set")
        monkeypatch.delenv(name)
    registry.require_server.cache_clear()
    before = mlflow.get_tracking_uri()
    yield
    mlflow.set_tracking_uri(before)
    registry.require_server.cache_clear()


@pytest.fixture(scope="session")
def with_a_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store that holds one run, made once: MLflow takes seconds to make one."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(store_address, "local_store", lambda: folder / "mlflow.db")
        patch.setenv("MLFLOW_TRACKING_URI", "")
        store = MlflowClient(store_address.local_uri(), store_address.local_uri())
        store.search_experiments()
        shutil.copy(folder / "mlflow.db", folder / "empty.db")
        recorded(store, "one")
    return folder


@pytest.fixture
def here(with_a_run: Path) -> MlflowClient:
    """The local store; it holds the run `one`, which is version 1."""
    shutil.copytree(with_a_run, store_address.local_store().parent, dirs_exist_ok=True)
    registry.fix_paths(store_address.local_store())
    return MlflowClient(store_address.local_uri(), store_address.local_uri())


@pytest.fixture
def there(with_a_run: Path, tmp_path: Path) -> MlflowClient:
    """The other store, with its files in a folder of their own."""
    shutil.copy(with_a_run / "empty.db", tmp_path / "there.db")
    uri = f"sqlite:///{tmp_path}/there.db"
    store = MlflowClient(uri, uri)
    store.create_experiment("tiny", artifact_location=(tmp_path / "there").as_uri())
    return store


@pytest.fixture
def free_port() -> int:
    """Find a free port."""
    return processes.free_port()


def policy(path: Path, uri: str, when_down: str = "stop") -> None:
    """Write a tracking.toml."""
    path.write_text(
        f'[server]\nuri = "{uri}"\nwhen_down = "{when_down}"\ntimeout_seconds = 2.0\n',
        encoding="utf-8",
    )


def recorded(store: MlflowClient, name: str, *, waiting: bool = False) -> str:
    """Record a run with a tiny model and register it; return the run's id."""
    mlflow.set_tracking_uri(store_address.local_uri())
    experiment = store.get_experiment_by_name("tiny")
    number = experiment.experiment_id if experiment else store.create_experiment("tiny")
    tags = {"git_commit": name} | ({registry.WAITING: "true"} if waiting else {})
    with mlflow.start_run(experiment_id=number, run_name=name, tags=tags) as run:
        mlflow.log_param("depth", 3)
        for step in range(3):
            mlflow.log_metric("auc", 0.5 + step / 10, step=step)
        mlflow.log_text("as it was", "code/model.py")
        tiny = DummyClassifier().fit([[0], [1]], [0, 1])
        logged = mlflow.sklearn.log_model(tiny, name="model", pip_requirements=["scikit-learn"])
    made = mlflow.register_model(logged.model_uri, "tiny", tags=tags)
    store.set_registered_model_alias("tiny", registry.CHALLENGER, made.version)
    return str(run.info.run_id)
