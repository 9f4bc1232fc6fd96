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
    "comet-ml": (
        "`comet_ml.Experiment().log_metrics(metrics)`",
        "`experiment.register_model(name)`",
    ),
    "clearml": ("`Task.init()` and its logger", "`OutputModel(task).publish()`"),
    "azure-ai-ml": ("`mlflow.log_metrics(metrics)`", "`az ml model create`"),
    "mlflow": (
        "`mlflow.start_run()`, `log_params` and `log_metrics`",
        "`log_model(model, registered_model_name=NAME)`",
    ),
}
# Capabilities whose evidence names the scripts: training, scoring, evaluation, data, service.
SCRIPTS = (
    "scripted-training",
    "scoring-entrypoint",
    "offline-evaluation",
    "data-ingestion",
    "prediction-service",
)
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
        path, (_, new, request, schedule) = self._vendor()
        train, score, evaluate, ingest, service = map(self._script, SCRIPTS)
        notebook = next(iter(files.find("**/*train*.ipynb", "**/*.ipynb")), "")
        steps = dict.fromkeys(filter(None, (ingest, train or notebook, evaluate)))
        known = (words for name, words in TRACKERS.items() if name in self.packages)
        log, register = next(known, TRACKERS["mlflow"])
        needed = next(iter(files.find(*files.reading.dependencies)), "")
        run = self._runs(train) or f"python {train or 'train.py'}"
        return {
            "ci": f"`{path or new.format('check')}`",
            "ci_of_training": f"`{new.format('train')}`",
            "request": request,
            "schedule": schedule,
            "train": _code(train or notebook, "the training script"),
            "score": _code(score, "the scoring script"),
            "service": _code(service or score, "the service"),
            "steps": ", ".join(map(_code, steps)) or "the training script",
            "pipeline": "dvc repro" if files.find("**/dvc.yaml") else run,
            "test": self._runs("pytest") or "pytest",
            "data": _code(next(iter(files.find(*DATA)), ""), "the raw data"),
            "requirements": _code(needed, "the packages"),
            "lock": self._lock(needed),
            "log": log,
            "register": register,
            "owners": ".gitlab/CODEOWNERS" if "gitlab" in new else ".github/CODEOWNERS",
        }

    def _lock(self, path: str) -> str:
        """Return how a lock is made from a file of dependencies."""
        if not path:
            return "List the packages in requirements.in, and run `uv pip compile requirements.in -o requirements.txt`"
        if path.endswith((".yml", ".yaml")):
            return f"Run `conda-lock -f {path}`"
        if path.endswith("Pipfile"):
            return "Run `pipenv lock`"
        if path.endswith("pyproject.toml"):
            return f"Run `{'poetry' if 'tool.poetry' in (self.content.text(path) or '') else 'uv'} lock`"
        return f"Run `uv pip compile {path} -o requirements.lock.txt`"

    def _vendor(self) -> tuple[str, tuple[str, str, str, str]]:
        """Return the CI file that runs tests, else the first, and its vendor; GitHub without any."""
        shown = {
            one.match.path for one in self.findings["ci-build-test"].shown if one.tier != "declared"
        }
        workflows = [workflow.path for workflow in self.ci.workflows]
        for path in sorted(workflows, key=lambda path: path not in shown):
            for vendor in VENDORS:
                if re.search(vendor[0], path, re.IGNORECASE):
                    return path, vendor
        return "", VENDORS[0]

    def _script(self, capability: str) -> str:
        """Return the first Python file in which a capability was found; empty without one."""
        shown = (one.match.path for one in self.findings[capability].shown)
        return next(
            (path for path in shown if path.endswith(".py") and not is_documentation(path)), ""
        )

    def _runs(self, name: str) -> str:
        """Return the repository's own task that runs a program; empty without one."""
        for task, commands in self._tasks():
            if name and any(
                re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", c.text) for c in commands
            ):
                return task
        return ""

    def _tasks(self) -> Iterator[tuple[str, list[Command]]]:
        """Yield the repository's own tasks, as they are called, and their commands."""
        runners = self.ci.runners
        for target, rules in runners.make_rules.items():
            yield f"make {target}", [command for _, recipe in rules for command in recipe]
        for task, listed in runners.poe_tasks.items():
            yield (
                f"poe {task}",
                [command for file, node in listed for command in poe_commands(node, file)],
            )


def _code(name: str, otherwise: str = "") -> str:
    return f"`{name}`" if name else otherwise


def exists(finding: Finding) -> str:
    """Return where something of a capability exists already; empty if nothing does."""
    shown = next((one.match for one in finding.shown if one.match.path), None)
    if shown is None:
        return ""
    place = f"{shown.path}:{shown.line}" if shown.line else shown.path
    return f"{place} {shown.text}" if shown.text != shown.path else place
