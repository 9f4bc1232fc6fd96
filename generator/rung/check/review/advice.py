"""What to change in a repository for the next rung: in its own files, with its own tools."""

import re
from collections.abc import Iterator, Mapping
from functools import cached_property

from rung.check.review.evidence import Evidence
from rung.check.review.findings import Finding
from rung.check.review.reachability import is_documentation
from rung.check.review.runners import Command, poe_commands
from rung.levels.ladder import Capability

# By CI vendor: its files, the file to add, its name for a change that is proposed, and its schedule.
VENDORS: tuple[tuple[str, str, str, str], ...] = (
    (r"\.github/", ".github/workflows/{}.yml", "pull request", "`on: schedule`"),
    (r"\.gitlab-ci", ".gitlab-ci.yml", "merge request", "a pipeline schedule"),
    (r"azure|\.pipelines/", "azure-pipelines.yml", "pull request", "`schedules:`"),
    (r"\.circleci/", ".circleci/config.yml", "pull request", "a scheduled pipeline"),
    (r"jenkinsfile", "Jenkinsfile", "pull request", "`triggers { cron('H 4 * * 1') }`"),
    (r"buildspec", "buildspec.yml", "pull request", "a rule of EventBridge"),
)
# Trackers of runs by package, with what logs a run and what registers its model.
TRACKERS = {
    "wandb": ("`wandb.init()` and `wandb.log(metrics)`", "`run.link_model(path, name)`"),
    "comet-ml": ("`comet_ml.Experiment().log_metrics(metrics)`", "`experiment.register_model(name)`"),
    "clearml": ("`Task.init()` and its logger", "`OutputModel(task).publish()`"),
    "azure-ai-ml": ("`mlflow.log_metrics(metrics)`", "`az ml model create`"),
    "mlflow": (
        "`mlflow.start_run()`, `log_params` and `log_metrics`",
        "`log_model(model, registered_model_name=NAME)`",
    ),
}
SCRIPTS = {  # files by what they do, as the evidence of a capability names them
    "train": "scripted-training",
    "score": "scoring-entrypoint",
    "evaluate": "offline-evaluation",
    "ingest": "data-ingestion",
    "service": "prediction-service",
}
DATA = ("**/*.csv", "**/*.parquet", "**/*.json.gz", "**/*.feather")


class Advice:
    """The words that `change` of a capability may use, as this repository has them.

    Args:
        evidence: What was found in it.
        findings: The findings by capability.
    """

    def __init__(self, evidence: Evidence, findings: Mapping[str, Finding]) -> None:
        self.content = evidence.content
        self.packages = evidence.packages
        self.ci = evidence.ci
        self.findings = findings

    def change(self, capability: Capability) -> str:
        """Return the smallest change that brings a capability."""
        return capability.change.format_map(self.words) if capability.change else capability.fix

    @cached_property
    def words(self) -> dict[str, str]:
        """The words by name; levels/README.md lists them."""
        files = self.content.files
        path, vendor = self._vendor()
        _, new, request, schedule = vendor
        scripts = {name: self._script(capability) for name, capability in SCRIPTS.items()}
        notebook = next(iter(files.find("**/*train*.ipynb", "**/*.ipynb")), "")
        train = scripts["train"] or notebook or "the training script"
        steps = [name for name in (scripts["ingest"], scripts["train"], scripts["evaluate"]) if name]
        log, register = next(
            (words for name, words in TRACKERS.items() if name in self.packages),
            TRACKERS["mlflow"],
        )
        requirements = next(iter(files.find(*files.reading.dependencies)), "requirements.txt")
        run = self._runs(train)
        words = {
            "ci": path or new.format("check"),
            "new_ci": path if path and "{}" not in new else new.format("train"),
            "request": request,
            "schedule": schedule,
            "train": train,
            "score": scripts["score"] or "the scoring script",
            "service": scripts["service"] or scripts["score"] or "the service",
            "steps": ", ".join(f"`{step}`" for step in steps) or f"`{train}`",
            "run": run if not train.endswith(".ipynb") else f"jupyter execute {train}",
            "pipeline": "dvc repro" if files.find("**/dvc.yaml") else run,
            "test": self._runs("pytest") if self._runs("pytest") != "python pytest" else "pytest",
            "data": next(iter(files.find(*DATA)), "the raw data"),
            "requirements": requirements,
            "lock": "poetry lock" if "tool.poetry" in (self.content.text(requirements) or "")
            else "uv lock" if requirements.endswith(".toml")
            else f"uv pip compile {requirements} -o requirements.lock.txt",
            "log": log,
            "register": register,
            "owners": ".gitlab/CODEOWNERS" if "gitlab" in new else ".github/CODEOWNERS",
        }
        return words

    def _vendor(self) -> tuple[str, tuple[str, str, str, str]]:
        """Return the CI file that runs tests, else the first, and its vendor; GitHub without any."""
        for workflow in self.ci.workflows:
            for vendor in VENDORS:
                if re.search(vendor[0], workflow.path, re.IGNORECASE):
                    return workflow.path, vendor
        return "", VENDORS[0]

    def _script(self, capability: str) -> str:
        """Return the first Python file in which a capability was found."""
        shown = (one.match.path for one in self.findings[capability].shown)
        return next((path for path in shown if path.endswith(".py") and not is_documentation(path)), "")

    def _runs(self, name: str) -> str:
        """Return the task that runs a script, or the command that does."""
        for task, commands in self._tasks():
            if any(re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", one.text) for one in commands):
                return task
        return f"python {name}"

    def _tasks(self) -> Iterator[tuple[str, list[Command]]]:
        """Yield the repository's own tasks, as they are called, and their commands."""
        runners = self.ci.runners
        for target, rules in runners.make_rules.items():
            yield f"make {target}", [command for _, recipe in rules for command in recipe]
        for task, listed in runners.poe_tasks.items():
            yield f"poe {task}", [command for file, node in listed for command in poe_commands(node, file)]


def exists(finding: Finding) -> str:
    """Return where something of a capability exists already; empty if nothing does."""
    shown = next((one.match for one in finding.shown if one.match.path), None)
    if shown is None:
        return ""
    place = f"{shown.path}:{shown.line}" if shown.line else shown.path
    return f"{place} {shown.text}" if shown.text != shown.path else place
