"""Copy a run with all that belongs to it to another store, once, however often it is interrupted.

The copy is created with a tag that names the original, in one request. Whoever finds it unfinished
goes on with it: parameters, metrics, tags and files may be written twice without harm.
"""

import tempfile
from pathlib import Path

from mlflow.entities import Experiment, LoggedModel, LoggedModelOutput, Metric, Param, Run, RunTag
from mlflow.models import Model
from mlflow.tracking import MlflowClient
from mlflow.utils.file_utils import local_file_uri_to_path

from rung_ops.tracking.registry import WAITING

ORIGINAL = "copied_from_run"  # of a run: the id it has in the store it was recorded in
MODEL_ORIGINAL = "copied_from_model"
COMPLETE = "copy_complete"
PARENT = "mlflow.parentRunId"
AT_ONCE = 100  # what one request may hold of parameters and tags; of metrics it is 1,000
METRICS_AT_ONCE = 1000
# MLflow writes this one itself, and takes no other value.
NOT_COPIED = {WAITING, "mlflow.log-model.history"}


class Copying:
    """Copies runs from one store to another.

    Attributes:
        source: where they are.
        target: where they go.
        runs: ids of the runs that are there, by the ids that they have here.
        models: the same of their models.
        copied: how many runs were written; those that were complete do not count.
    """

    def __init__(self, source: MlflowClient, target: MlflowClient) -> None:
        """Take two stores."""
        self.source, self.target = source, target
        self.runs: dict[str, str] = {}
        self.models: dict[str, str] = {}
        self.copied = 0

    def run(self, run: Run) -> str:
        """Copy a run, its parent before it; return the id of the copy."""
        here = run.info.run_id
        if here in self.runs:
            return self.runs[here]
        parent = run.data.tags.get(PARENT)
        if parent:
            self.run(self.source.get_run(parent))
        experiment = self._experiment(self.source.get_experiment(run.info.experiment_id))
        found = self._copy_of(here, experiment)
        there = found.info.run_id if found else self._create(run, experiment)
        self.runs[here] = there
        done = found is not None and found.data.tags.get(COMPLETE) == "true"
        self._models(run, there, experiment, done)
        if not done:
            self._fill(run, there)
            # The last write: whoever sees the tag needs no second look.
            self.target.set_tag(there, COMPLETE, "true")
            self.copied += 1
        return there

    def _experiment(self, experiment: Experiment) -> str:
        found = self.target.get_experiment_by_name(experiment.name)
        if found is None:
            return self.target.create_experiment(experiment.name)
        return str(found.experiment_id)

    def _copy_of(self, here: str, experiment: str) -> Run | None:
        asked = f"tags.{ORIGINAL} = '{here}'"
        found = self.target.search_runs([experiment], asked, max_results=1)
        return found[0] if found else None

    def _create(self, run: Run, experiment: str) -> str:
        tags = self._tags(run) | {ORIGINAL: run.info.run_id}
        made = self.target.create_run(experiment, run.info.start_time, tags, run.info.run_name)
        return str(made.info.run_id)

    def _tags(self, run: Run) -> dict[str, str]:
        tags = {name: value for name, value in run.data.tags.items() if name not in NOT_COPIED}
        if PARENT in tags:
            tags[PARENT] = self.runs[tags[PARENT]]
        return tags

    def _fill(self, run: Run, there: str) -> None:
        here = run.info.run_id
        params = [Param(name, value) for name, value in run.data.params.items()]
        tags = [RunTag(name, value) for name, value in self._tags(run).items()]
        for start in range(0, max(len(params), len(tags)), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            self.target.log_batch(there, params=params[some], tags=tags[some])
        points = [
            Metric(each.key, each.value, each.timestamp, each.step)
            for name in run.data.metrics
            for each in self.source.get_metric_history(here, name)
        ]
        for start in range(0, len(points), METRICS_AT_ONCE):
            self.target.log_batch(there, metrics=points[start : start + METRICS_AT_ONCE])
        if run.inputs and run.inputs.dataset_inputs:
            self.target.log_inputs(there, run.inputs.dataset_inputs)
        files = _folder(run.info.artifact_uri)
        if files.is_dir() and any(files.iterdir()):
            self.target.log_artifacts(there, str(files))
        self.target.set_terminated(there, run.info.status, run.info.end_time)

    def _models(self, run: Run, there: str, experiment: str, done: bool) -> None:
        asked = f"source_run_id = '{run.info.run_id}'"
        for model in self.source.search_logged_models([run.info.experiment_id], asked):
            found = self.target.search_logged_models(
                [experiment], f"tags.{MODEL_ORIGINAL} = '{model.model_id}'", max_results=1
            )
            copy = found[0] if found else self._create_model(model, there, experiment)
            self.models[model.model_id] = copy.model_id
            if not done:
                self._fill_model(model, copy, there)

    def _create_model(self, model: LoggedModel, there: str, experiment: str) -> LoggedModel:
        return self.target.create_logged_model(
            experiment,
            model.name,
            there,
            # The internal tags are the registry's: a version sets them anew.
            {k: v for k, v in model.tags.items() if not k.startswith("mlflow.")}
            | {MODEL_ORIGINAL: model.model_id},
            model.params,
            model.model_type,
        )

    def _fill_model(self, model: LoggedModel, copy: LoggedModel, there: str) -> None:
        files = _folder(model.artifact_location)
        if files.is_dir():
            self.target.log_model_artifacts(copy.model_id, str(files))
            with tempfile.TemporaryDirectory() as place:
                # The description names the run and the model, which are others there.
                described = Model.load(str(files))
                described.run_id, described.model_id = there, copy.model_id
                described.artifact_path = copy.artifact_location
                described.save(str(Path(place) / "MLmodel"))
                self.target.log_model_artifacts(copy.model_id, place)
        # Of all writes the one that may not be repeated.
        said = self.target.get_run(there).outputs
        if copy.model_id not in [each.model_id for each in (said.model_outputs if said else [])]:
            self.target.log_outputs(there, [LoggedModelOutput(copy.model_id, 0)])
        self.target.finalize_logged_model(copy.model_id, model.status)


def _folder(uri: str) -> Path:
    return Path(local_file_uri_to_path(uri))
