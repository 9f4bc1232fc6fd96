"""What to change in a repository for the next rung: in its own files, with its own tools."""

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import chain

from rung.check.review.ci import Workflow
from rung.check.review.evidence import Evidence
from rung.check.review.files import CIVendor, is_documentation
from rung.check.review.findings import Finding
from rung.check.review.predicates import FLAGS
from rung.check.review.runners import Command, poe_commands
from rung.levels.ladder import Capability

# Capabilities whose evidence names the scripts: training, scoring, evaluation, data, service.
SCRIPTS = (
    "scripted-training",
    "scoring-entrypoint",
    "offline-evaluation",
    "data-ingestion",
    "prediction-service",
)
TRAINS = re.compile(rb"\b(?:fit(?!_transform)\w*|train|fine_?tune\w*|backward)\(")
# The words of Advice, as levels/README.md lists them.
WORD_NAMES = (
    "ci ci_of_training ci_of_deployment request schedule train code score service steps pipeline "
    "test data requirements lock log register owners"
)
WORDS = frozenset(WORD_NAMES.split())
CHANGES = re.compile(r"\bpull_request\b")  # events of GitHub
SCORES = re.compile(r"scor|predict|infer|deploy|monitor")
MAX_NOTEBOOKS = 20
MAX_MODULES = 200
TESTS = re.compile(r"(^|/)(tests?/|test_|conftest)|_test\.py$|(^|/)setup\.py$")
FUNCTION = re.compile(r"^def \w", re.MULTILINE)
CODE = (".py", ".R", ".r")
DATA = ("**/*.csv", "**/*.parquet", "**/*.json.gz", "**/*.feather")


class Advice:
    """The words that `change` of a capability may use, as this repository has them."""

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
        new, trackers = vendor.new, files.reading.trackers
        train, score, evaluate, ingest, service = map(self._script, SCRIPTS)
        notebooks = files.find("**/*train*.ipynb", "**/*.ipynb")[:MAX_NOTEBOOKS]
        texts = ((path, files.read(path, files.limits.notebook)) for path in notebooks)
        trains = (path for path, text in texts if TRAINS.search(text or b""))
        notebook = "" if train else next(trains, "")
        steps = dict.fromkeys(filter(None, (ingest, train or notebook, evaluate)))
        tracker = next((name for name in trackers if name in self.packages), "mlflow")
        needed = next(iter(files.find(*files.reading.dependencies)), "")
        pipelines = {
            found.match.path
            for found in self.findings["orchestrated-pipeline"].shown
            if found.tier == "automated" and found.match.path.endswith(".py")
        }
        named = [path for path in sorted(pipelines) if not SCORES.search(path)]
        pipeline = min(named, key=lambda path: "train" not in path, default="")
        started = pipeline or train or "train.py"
        program = "python" if started.endswith(".py") else "Rscript"
        run = self._runs(started) or f"{program} {started}"
        workflows = {workflow.path for workflow in self.ci.workflows}
        gates = (shown.match.path for shown in self.findings["model-quality-gate"].shown)
        gated = next((gate for gate in gates if gate in workflows), "")
        return {
            "ci": f"`{path or new.format('check')}`",
            "ci_of_training": f"`{new.format('train') or path}`",
            "ci_of_deployment": f"`{gated or new.format('deploy') or path}`",
            "request": vendor.request,
            "schedule": vendor.schedule,
            "train": _code(train or notebook, "the training script"),
            "code": _code(train or self._module() or notebook, "the training script"),
            "score": _code(score, "the scoring script"),
            "service": _code(service or score, "the service"),
            "steps": ", ".join(map(_code, steps)) or "the training script",
            "pipeline": "dvc repro" if files.find("**/dvc.yaml") else run,
            "test": self._runs("pytest") or "pytest",
            "data": _code(next(iter(files.find(*DATA)), ""), "the raw data"),
            "requirements": _code(needed, "the packages"),
            "lock": self._lock(needed),
            "log": trackers[tracker].log,
            "register": trackers[tracker].register,
            "owners": vendor.owners,
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

    def _vendor(self) -> tuple[str, CIVendor]:
        """Return the CI file that runs tests or judges changes, else the first, and its vendor.

        On GitHub the path is empty without such a file: a new one takes the place of others.
        """
        shown = self.findings["ci-build-test"].shown
        tests = {found.match.path for found in shown if found.tier == "used"}
        checks = {found.match.path for found in shown if found.tier != "declared"}
        checks |= {
            workflow.path for workflow in self.ci.workflows if CHANGES.search(workflow.squeezed)
        }

        def rank(workflow: Workflow) -> tuple[bool, bool]:
            return workflow.path not in tests, workflow.path not in checks

        vendors = self.content.files.reading.ci_vendors
        for workflow in sorted(self.ci.workflows, key=rank):
            of_path = (v for v in vendors if re.search(v.path, workflow.path, re.IGNORECASE))
            of_text = (v for v in vendors if v.says and re.search(v.says, workflow.squeezed, FLAGS))
            if vendor := next(chain(of_path, of_text), None):
                is_other = vendor is vendors[0] and workflow.path not in checks
                return "" if is_other else workflow.path, vendor
        return "", vendors[0]

    def _script(self, capability: str) -> str:
        """Return the first script in which a capability was found; empty without one."""
        # Those of the tier `used` do it; what makes it automated may be elsewhere.
        listed = sorted(self.findings[capability].shown, key=lambda found: found.tier != "used")
        shown = (found.match.path for found in listed)
        return next(
            (path for path in shown if path.endswith(CODE) and not is_documentation(path)), ""
        )

    def _module(self) -> str:
        """Return a module with functions, those in src/ first; empty without one."""
        files = self.content.files
        paths = sorted(files.find("**/*.py")[:MAX_MODULES], key=lambda p: not p.startswith("src/"))
        own = (path for path in paths if not is_documentation(path) and not TESTS.search(path))
        return next((p for p in own if FUNCTION.search(self.content.text(p) or "")), "")

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
