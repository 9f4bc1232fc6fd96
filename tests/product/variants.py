"""How a person uses a project."""

import contextlib
import json
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import copier as copier_api
import yaml

from tests.command import git
from tests.conftest import of_the_sample
from tests.product.conftest import commit, environment, run
from tests.product.processes import end_group, start_process

FEW_ROWS = """
import polars as pl
path = "data/sample/flights.parquet"
pl.read_parquet(path).sample(3000, seed=1).sort("scheduled").write_parquet(path)
"""


class Project:
    """A generated project, in which commands are typed as a person would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, command: str) -> str:
        """Run a command line that must succeed, and return all it printed."""
        started = time.monotonic()
        output = run("bash", "-c", command, cwd=self.folder).stdout
        print(f"{time.monotonic() - started:6.1f} s  {command}")
        return output

    def fail(self, command: str) -> str:
        """Run a command line that must fail, and return all it printed."""
        done = run("bash", "-c", command, cwd=self.folder, expect=None)
        assert done.returncode != 0, done.stdout
        return done.stdout

    def begin(
        self, *arguments: str | Path, stdin: Any = subprocess.DEVNULL, **variables: str
    ) -> "subprocess.Popen[str]":
        """Start the project's Python in a group of processes of its own, and go on."""
        return subprocess.Popen(
            [self.folder / ".venv/bin/python", *map(str, arguments)],
            cwd=self.folder,
            env=environment(**variables),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def commit(self, message: str) -> None:
        commit(self.folder, message)

    def is_clean(self) -> bool:
        return not git(self.folder, "status", "--porcelain")


def start(template: Path, folder: Path, **answers: Any) -> Project:
    """Make a project in a separate repository, installed and committed."""
    copier_api.run_copy(
        str(template), folder, data=of_the_sample(answers), defaults=True, quiet=True
    )
    git(folder, "init", "--quiet", "--initial-branch=main")
    project = Project(folder)
    project.commit("Start")
    project.run("uv sync")
    project.commit("Lock the packages")
    return project


def on_few_rows(template: Path, folder: Path, **answers: Any) -> Project:
    """Make a project on rung 2 whose rows are few: how good its model is does not matter."""
    project = start(template, folder, use_case="velocity", level=2, **answers)
    run(project.folder / ".venv/bin/python", "-c", FEW_ROWS, cwd=project.folder)
    project.commit("Take few rows")
    return project


def commands_of_the_readme(project: Project) -> list[str]:
    text = (project.folder / "README.md").read_text()
    blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


def verbs(commands: list[str]) -> list[str]:
    """Name the tasks that commands call: `gate` of `uv run poe gate VERSION`."""
    return [command.split()[3] for command in commands if command.startswith("uv run poe ")]


def commands_of_the_rung(project: Project) -> list[str]:
    """Read the commands of the table in RUNG.md."""
    text = (project.folder / "RUNG.md").read_text()
    return re.findall(r"^\| `(uv run [^`]+)` \|", text, re.MULTILINE)


RECORD = {
    "validator": {"name": "Vera Valid", "email": "vera@example.org"},
    "findings": [
        {
            "finding": "Figures of small groups move from one split to the next.",
            "severity": "low",
            "owner": "Credit modelling",
            "due": str(date.today() + timedelta(days=365)),
            "evidence": "reports/slices.json",
        }
    ],
    "conceptual_soundness": "Design, assumptions, data and method were examined; they suit the use.",
    "outcomes_analysis": "The figures were computed again from the commit, and are the same.",
    "limitations": "Not to be relied on for applicants of another country.",
    "decision": "approved",
}


def validate(project: Project, version: str = "1") -> None:
    """Approve a version as somebody else than its author would, and commit what that leaves."""
    write_record(project, version)
    sign(project, version)


def sign(project: Project, version: str) -> None:
    """Sign the approval with the validator's key, where there are keys; a team of one has none."""
    if key := validators_key(project):
        project.run(f"uv run poe approve {version} --key {key}")
        project.commit(f"Sign the approval of version {version}")


def validators_key(project: Project) -> Path | None:
    """Make the validator's key and let it approve; None in a team of one, which has no second."""
    top = Path(git(project.folder, "rev-parse", "--show-toplevel"))
    signers = top / "governance/allowed_signers"
    if not signers.is_file():
        return None
    key = top.parent / "vera.key"
    if not key.exists():
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key, cwd=top)
        line = (
            f'vera@example.org namespaces="rung-approval" {key.with_suffix(".key.pub").read_text()}'
        )
        signers.write_text(signers.read_text() + line)
        Project(top).commit("Let Vera approve")
    return key


# A person writes each document for their model; one text serves for what the tests are about.
WRITTEN = "Loan officers of our bank in Trento read this beside the file, and decide themselves."
WRITE = (
    "import sys; from rung_governance import example_text; from rung_ops.project import current; "
)
WRITE += "example_text.rewrite(current().root, sys.argv[1])"


def write_documents(project: Project) -> None:
    """Replace the example's text, and commit it."""
    run("uv", "run", "python", "-c", WRITE, WRITTEN, cwd=project.folder)
    if not project.is_clean():
        project.commit("Write the documents for our model")


def write_record(project: Project, version: str = "1") -> None:
    """Write documents, and a record by somebody else than the version's author; commit them."""
    write_documents(project)
    project.fail(f"uv run poe approve {version}")  # which writes the skeleton of a record
    (path,) = (project.folder / "governance/validation").glob(f"*-{version}.yaml")
    record = yaml.safe_load(path.read_text()) | RECORD
    record["evidence"] = record["evidence"] or ["the run, made again from its commit"]
    record["date"] = str(record["date"])
    path.write_text(yaml.safe_dump(record, sort_keys=False))
    project.commit(f"Validate version {version}")


def set_values(path: Path, **values: str) -> None:
    """Put other values, as TOML, into the lines of a settings file."""
    text = path.read_text()
    for name, value in values.items():
        (line,) = re.findall(rf"^{name} = .*$", text, re.MULTILINE)
        text = text.replace(line, f"{name} = {value}")
    path.write_text(text)


def promise_less(project: Project) -> None:
    """Agree on limits that also hold where several services share two cores with other work."""
    limits = {"p50_ms": "2000", "p99_ms": "20_000", "min_requests_per_second": "1"}
    set_values(project.folder / "ops/service.toml", **limits)


def take_another_seed(folder: Path) -> None:
    set_values(folder / "params.toml", seed="11")


TOKENS: dict[str, Path] = {}  # of the services that serving() started, by address


def keys_of(folder: Path) -> Path:
    """Find the folder of the keys: one of several models has that of the repository."""
    tops = (top for top in (folder, *folder.parents) if (top / ".git").exists())
    return next(tops, folder) / ".keys"


@contextlib.contextmanager
def serving(project: Project, port: int, **more: str) -> Iterator[str]:
    """Type `uv run poe serve`, give the service's address when it is ready, and stop it."""
    log = project.folder / "logs/serve.txt"
    log.parent.mkdir(exist_ok=True)
    command = ["uv", "run", "poe", "serve", "--port", str(port)]
    server = start_process(command, project.folder, log, environment(**more))
    address = f"http://127.0.0.1:{port}"
    TOKENS[address] = keys_of(project.folder) / "service.token"
    try:
        assert answers(f"{address}/health/ready", seconds=120), log.read_text()
        yield address
    finally:
        end_group(server, signal.SIGTERM)


def in_production(releases: Path) -> Path:
    state = json.loads((releases / "production/state.json").read_text())
    return releases / "production/bundles" / str(state["serving"])


def answers(url: str, seconds: float) -> bool:
    """Wait until a page is there; tell whether it ever was."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=5) as reply:
                return bool(reply.status == 200)
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    return False


def ask(address: str, body: Any, query: str = "") -> Any:
    """Ask a service for a prediction, with the token of this machine where it has made one."""
    headers = {"Content-Type": "application/json"}
    if address in TOKENS and TOKENS[address].exists():
        headers["Authorization"] = f"Bearer {TOKENS[address].read_text().strip()}"
    url = f"{address}/predict{query}"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)
