"""Copying of runs and versions to the server: `uv run poe track-sync` and `uv run poe track-migrate`.

A copy is created with a tag that names the original, in one request. The next call continues an
unfinished copy: writing parameters, metrics, tags and files twice is harmless. Versions are registered
in the order of the local ones, so an empty registry gives them the same numbers.
"""

import json
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from mlflow.entities import (
    Experiment,
    LoggedModel,
    LoggedModelOutput,
    Metric,
    Param,
    Run,
    RunStatus,
    RunTag,
    ViewType,
)
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.tracking import MlflowClient

from rung_ops.command import verb
from rung_ops.errors import StageError
from rung_ops.system.files import try_lock
from rung_ops.tracking import last_run, registry, store_address
from rung_ops.tracking.registry import CHALLENGER, WAITING

ORIGINAL = "copied_from_run"  # tag of a copied run: id of the original
MODEL_ORIGINAL = "copied_from_model"
COMPLETE = "copy_complete"
PARENT = "mlflow.parentRunId"
# Limits of one request.
MAX_PARAMS = 100
MAX_METRICS = 1000
# Tags that are not copied; MLflow sets mlflow.log-model.history itself.
NOT_COPIED = {WAITING, "mlflow.log-model.history"}


class Copying:
    """Copies runs from the store `source` to the store `target`.

    Attributes:
        runs, models: ids in the target by ids in the source, of runs and of logged models.
        copied: number of runs written, without those that were complete before.
    """

    def __init__(self, source: MlflowClient, target: MlflowClient) -> None:
        self.source, self.target = source, target
        self.runs: dict[str, str] = {}
        self.models: dict[str, str] = {}
        self.copied = 0

    def run(self, run: Run) -> str:
        """Copy a run, after its parent; return the id of the copy."""
        original = run.info.run_id
        if original in self.runs:
            return self.runs[original]
        parent = run.data.tags.get(PARENT)
        if parent:
            self.run(self.source.get_run(parent))
        experiment = self._experiment(self.source.get_experiment(run.info.experiment_id))
        query = f"tags.{ORIGINAL} = '{original}'"
        existing = next(iter(self.target.search_runs([experiment], query, max_results=1)), None)
        created = existing
        if created is None:
            tags = self._tags(run) | {ORIGINAL: original}
            created = self.target.create_run(
                experiment, run.info.start_time, tags, run.info.run_name
            )
        copy = str(created.info.run_id)
        self.runs[original] = copy
        done = existing is not None and existing.data.tags.get(COMPLETE) == "true"
        self._models(run, copy, experiment, done)
        if not done:
            self._fill(run, copy)
            # Written last: the tag says that the copy is complete.
            self.target.set_tag(copy, COMPLETE, "true")
            self.copied += 1
        return copy

    def _experiment(self, experiment: Experiment) -> str:
        existing = self.target.get_experiment_by_name(experiment.name)
        if existing is None:
            return self.target.create_experiment(experiment.name)
        return str(existing.experiment_id)

    def _tags(self, run: Run) -> dict[str, str]:
        tags = {name: value for name, value in run.data.tags.items() if name not in NOT_COPIED}
        if PARENT in tags:
            tags[PARENT] = self.runs[tags[PARENT]]
        return tags

    def _fill(self, run: Run, copy: str) -> None:
        params = [Param(name, value) for name, value in run.data.params.items()]
        tags = [RunTag(name, value) for name, value in self._tags(run).items()]
        for start in range(0, max(len(params), len(tags)), MAX_PARAMS):
            some = slice(start, start + MAX_PARAMS)
            self.target.log_batch(copy, params=params[some], tags=tags[some])
        points = [
            Metric(each.key, each.value, each.timestamp, each.step)
            for name in run.data.metrics
            for each in self.source.get_metric_history(run.info.run_id, name)
        ]
        for start in range(0, len(points), MAX_METRICS):
            self.target.log_batch(copy, metrics=points[start : start + MAX_METRICS])
        if run.inputs and run.inputs.dataset_inputs:
            self.target.log_inputs(copy, run.inputs.dataset_inputs)
        files = _folder(run.info.artifact_uri)
        if files.is_dir() and any(files.iterdir()):
            self.target.log_artifacts(copy, str(files))
        self.target.set_terminated(copy, run.info.status, run.info.end_time)

    def _models(self, run: Run, run_copy: str, experiment: str, done: bool) -> None:
        query = f"source_run_id = '{run.info.run_id}'"
        for model in self.source.search_logged_models([run.info.experiment_id], query):
            copies = self.target.search_logged_models(
                [experiment], f"tags.{MODEL_ORIGINAL} = '{model.model_id}'", max_results=1
            )
            # The registry sets the internal tags of a registered version.
            tags = {k: v for k, v in model.tags.items() if not k.startswith("mlflow.")}
            tags[MODEL_ORIGINAL] = model.model_id
            copy = next(iter(copies), None) or self.target.create_logged_model(
                experiment, model.name, run_copy, tags, model.params, model.model_type
            )
            self.models[model.model_id] = copy.model_id
            if not done:
                self._fill_model(model, copy, run_copy)

    def _fill_model(self, model: LoggedModel, copy: LoggedModel, run_copy: str) -> None:
        files = _folder(model.artifact_location)
        if files.is_dir():
            self.target.log_model_artifacts(copy.model_id, str(files))
            with tempfile.TemporaryDirectory() as folder:
                # MLmodel names run and model by their ids, which differ in the target.
                described = Model.load(str(files))
                described.run_id, described.model_id = run_copy, copy.model_id
                described.artifact_path = copy.artifact_location
                described.save(str(Path(folder) / "MLmodel"))
                self.target.log_model_artifacts(copy.model_id, folder)
        # The only write that must not be repeated.
        outputs = self.target.get_run(run_copy).outputs
        logged = [each.model_id for each in (outputs.model_outputs if outputs else [])]
        if copy.model_id not in logged:
            self.target.log_outputs(run_copy, [LoggedModelOutput(copy.model_id, 0)])
        self.target.finalize_logged_model(copy.model_id, model.status)


def _folder(uri: str) -> Path:
    parts = urlsplit(uri)
    return Path(url2pathname(parts.path) if parts.scheme == "file" else uri)


LOCAL_NUMBER = "migrated_from"  # tag of a version: its number in the local store
PAST_CHAMPIONS = "champions_before"  # tag of a model: numbers of versions, which may change


def versions_of(store: MlflowClient, name: str) -> list[ModelVersion]:
    """List the versions of a model, oldest first."""
    unsorted = store.search_model_versions(f"name='{name}'")
    return sorted(unsorted, key=lambda each: int(each.version))


def register_versions(copying: Copying, versions: Iterable[ModelVersion]) -> dict[str, str]:
    """Register versions whose runs were copied, once; return their numbers there by local number."""
    numbers: dict[str, str] = {}
    registered: dict[str | None, str] | None = None
    for version in versions:
        if registered is None:
            _model(copying.target, version.name)
            registered = {
                each.tags.get(ORIGINAL): str(each.version)
                for each in versions_of(copying.target, version.name)
            }
        # The number distinguishes versions of the same run.
        original = f"{version.run_id}/{version.version}"
        if original not in registered:
            registered[original] = _register(copying, version, original)
        numbers[str(version.version)] = registered[original]
    return numbers


def _model(target: MlflowClient, name: str) -> RegisteredModel:
    try:
        return target.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return target.create_registered_model(name)


def _register(copying: Copying, version: ModelVersion, original: str) -> str:
    tags = {name: value for name, value in version.tags.items() if name != WAITING}
    model = copying.models[str(version.model_id or str(version.source).removeprefix("models:/"))]
    created = copying.target.create_model_version(
        version.name,
        f"models:/{model}",
        copying.runs[str(version.run_id)],
        tags | {ORIGINAL: original, LOCAL_NUMBER: str(version.version)},
        description=version.description or None,
        model_id=model,
    )
    return str(created.version)


def copy_aliases(copying: Copying, name: str, numbers: dict[str, str]) -> list[str]:
    """Copy aliases and tags of the model; keep, and say, what differs at the server."""
    local, remote = copying.source.get_registered_model(name), _model(copying.target, name)
    kept = []
    for alias, number in local.aliases.items():
        wanted = numbers.get(str(number))
        current = remote.aliases.get(alias)
        if wanted is None or str(current) == wanted:
            continue
        if current is not None:
            kept.append(
                f"{alias} stays version {current} of {name} at the server; locally it is {number}."
            )
            continue
        copying.target.set_registered_model_alias(name, alias, wanted)
    for tag, value in local.tags.items():
        if tag not in remote.tags:
            if tag == PAST_CHAMPIONS:
                value = json.dumps(
                    [numbers.get(str(each), str(each)) for each in json.loads(value)]
                )
            copying.target.set_registered_model_tag(name, tag, value)
    if local.description and not remote.description:
        copying.target.update_registered_model(name, local.description)
    return kept


@contextmanager
def open_stores() -> Iterator[Copying]:
    """Open both stores, under a lock of this machine."""
    uri = store_address.tracking_uri()
    if not registry.is_server(uri):
        raise StageError(
            f"Runs are recorded in {uri}, which is not a server. Set the server in "
            "ops/tracking.toml, or in MLFLOW_TRACKING_URI."
        )
    target, local = registry.client(), store_address.local_uri()
    registry.fix_paths(store_address.local_store())
    descriptor = try_lock(Path(f"{store_address.local_store()}.copying"))
    if descriptor is None:
        raise StageError("Another process is copying these runs: wait until it ends.")
    again = "Run the command again when it is back: it continues from there."
    try:
        with registry.server_errors(lambda: uri, again):
            yield Copying(MlflowClient(local, local), target)
    finally:
        os.close(descriptor)


def run_copy(copy: Callable[[Copying], Iterable[str]]) -> int:
    """Open both stores, copy and print the lines of progress; return the exit code."""
    with open_stores() as opened:
        for line in copy(opened):
            print(line, flush=True)
    return 0


def waiting() -> int:
    """Count the runs that wait for the server, without importing MLflow."""
    if not store_address.local_store().is_file():
        return 0
    with closing(sqlite3.connect(store_address.local_store(), timeout=60)) as opened:
        tables = {name for (name,) in opened.execute("SELECT name FROM sqlite_master")}
        if "tags" not in tables:
            return 0
        query = "SELECT count(*) FROM tags WHERE key = ? AND value = 'true'"
        return int(opened.execute(query, (WAITING,)).fetchone()[0])


def runs_of(store: MlflowClient, query: str = "") -> list[Run]:
    """List the runs of all experiments that match an MLflow filter, oldest first."""
    experiments = [each.experiment_id for each in store.search_experiments(ViewType.ALL)]
    unsorted: list[Run] = []
    token: str | None = None
    while experiments:
        page = store.search_runs(experiments, query, max_results=1000, page_token=token)
        unsorted += page
        token = page.token
        if not token:
            break
    return sorted(unsorted, key=lambda run: (run.info.start_time, run.info.run_id))


@verb("poe track-sync")
def main() -> int:
    """Copy runs to the server that were recorded while it was down."""
    if not waiting():
        print("No run is waiting for the server.")
        return 0
    return run_copy(copy_waiting)


def copy_waiting(copying: Copying) -> Iterator[str]:
    """Copy each waiting run and its version; the newest version becomes the challenger."""
    source = copying.source
    versions = [
        version
        for model in source.search_registered_models()
        for version in versions_of(source, model.name)
    ]
    for run in runs_of(source, f"tags.{WAITING} = 'true'"):
        copied_run = copying.run(run)
        of_run = [each for each in versions if each.run_id == run.info.run_id]
        for local, number in register_versions(copying, of_run).items():
            name = of_run[0].name
            copying.target.set_registered_model_alias(name, CHALLENGER, number)
            # reports/run.json must name the version at the server.
            if last_run.read().get("run_id") == run.info.run_id:
                last_run.write_and_commit(copied_run, name, number)
            yield f"local version {local} of {name} is version {number} at the server, {CHALLENGER}"
        if not of_run:
            yield f"copied run {run.info.run_name}"
        _mark_copied(source, run.info.run_id)


def _mark_copied(source: MlflowClient, run: str) -> None:
    source.set_tag(run, WAITING, f"no, copied to {store_address.tracking_uri()}")


@verb("poe track-migrate")
def migrate() -> int:
    """Copy all local runs and versions to the server.

    An interrupted migration can be run again: nothing is copied twice. The local store is kept.
    """
    store = store_address.local_store()
    if store.is_file():
        return run_copy(copy_all)
    print(f"There is no {store.name}: no run was recorded in this folder.")
    return 0


def copy_all(copying: Copying) -> Iterator[str]:
    """Copy runs, then versions, aliases and tags; yield lines of progress."""
    all_runs = runs_of(copying.source)
    runs = [
        run for run in all_runs if RunStatus.is_terminated(RunStatus.from_string(run.info.status))
    ]
    yield f"copying {len(runs)} runs to {store_address.tracking_uri()}"
    for number, run in enumerate(runs, 1):
        before = copying.copied
        copying.run(run)
        result = "copied" if copying.copied > before else "copied before"
        yield f"run {number} of {len(runs)}: {run.info.run_name}, {result}"
    if len(all_runs) > len(runs):
        yield (
            f"{len(all_runs) - len(runs)} unfinished runs were skipped: they are running or were "
            "killed."
        )
    for model in copying.source.search_registered_models():
        versions = versions_of(copying.source, model.name)
        copied = [each for each in versions if str(each.run_id) in copying.runs]
        numbers = register_versions(copying, copied)
        yield from copy_aliases(copying, model.name, numbers)
        for local, remote in numbers.items():
            if local != remote:
                yield (
                    f"local version {local} of {model.name} is version {remote} at the server, "
                    "which had other versions before"
                )
        yield f"{model.name}: {len(numbers)} versions are at the server"
    local_store = f"{store_address.local_store().name} and mlruns/"
    yield f"Done. {local_store} were not changed; delete them when they are no longer needed."
