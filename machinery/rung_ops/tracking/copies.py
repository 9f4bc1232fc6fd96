"""Copy runs with their models and files to another store; an interrupted copy can be continued.

A copy is created with a tag that names the original, in one request. The next call continues an
unfinished copy: writing parameters, metrics, tags and files twice is harmless.
"""

import tempfile
from pathlib import Path

from mlflow.entities import Experiment, LoggedModel, LoggedModelOutput, Metric, Param, Run, RunTag
from mlflow.models import Model
from mlflow.tracking import MlflowClient
from mlflow.utils.file_utils import local_file_uri_to_path

from rung_ops.tracking.registry import WAITING

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
    """Copies runs from one store to another.

    Attributes:
        source: the store to copy from.
        target: the store to copy to.
        runs: ids in the target by ids in the source.
        models: the same for logged models.
        copied: number of runs written, without those that were complete before.
    """

    def __init__(self, source: MlflowClient, target: MlflowClient) -> None:
        """Set the two stores."""
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
        existing = self._copy_of(original, experiment)
        copy = existing.info.run_id if existing else self._create(run, experiment)
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

    def _copy_of(self, original: str, experiment: str) -> Run | None:
        query = f"tags.{ORIGINAL} = '{original}'"
        copies = self.target.search_runs([experiment], query, max_results=1)
        return copies[0] if copies else None

    def _create(self, run: Run, experiment: str) -> str:
        tags = self._tags(run) | {ORIGINAL: run.info.run_id}
        created = self.target.create_run(experiment, run.info.start_time, tags, run.info.run_name)
        return str(created.info.run_id)

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
            copy = copies[0] if copies else self._create_model(model, run_copy, experiment)
            self.models[model.model_id] = copy.model_id
            if not done:
                self._fill_model(model, copy, run_copy)

    def _create_model(self, model: LoggedModel, run_copy: str, experiment: str) -> LoggedModel:
        return self.target.create_logged_model(
            experiment,
            model.name,
            run_copy,
            # The registry sets the internal tags of a registered version.
            {k: v for k, v in model.tags.items() if not k.startswith("mlflow.")}
            | {MODEL_ORIGINAL: model.model_id},
            model.params,
            model.model_type,
        )

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
    return Path(local_file_uri_to_path(uri))
