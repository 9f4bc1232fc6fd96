"""What makes the files beside it: `uv run --group machinery python make.py FOLDER`; FOLDER is empty.

The archives of today came from these steps, typed one by one, with the whole sample and another
validation record; the script as a whole has not run to its end yet.

It checks out version 0.2 as the corpus has it, makes a project of each use case, and runs in it what a
team runs: pipeline, release, approval, deployment, service, monitor, autopilot. The rows are thinned and
the models small, so that few bytes are kept. Times, ids and keys differ each time; private keys stay in
FOLDER.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import polars as pl
import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[3]
COMMIT = "d4a1ba2"
ANSWER = {"velocity": 4, "governance": 3}  # the rung of each
PORT = 18_437
OLGA, VERA = "olga" * 8, "vera" * 8  # tokens of operators, of a service on this machine alone
RECORD = {
    "validator": {"name": "Vera Valid", "email": "vera@example.org"},
    "conceptual_soundness": "Design, assumptions, data and method were examined; they suit the use.",
    "outcomes_analysis": "The figures were computed again from the commit, and are the same.",
    "limitations": "Not to be relied on for applicants of another country.",
    "evidence": ["the run, made again from its commit"],
    "findings": [],
    "decision": "approved",
}


class Project:
    """A project of 0.2, in which commands of 0.2 are typed."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        self.folder = folder
        binary_path = f"{binaries}:{os.environ['PATH']}"
        self.environment = os.environ | {
            "PATH": binary_path,
            "PYTHONPATH": str(folder / "src"),
            "OMP_NUM_THREADS": "1",
            "GITHUB_ACTOR": "ada",
            "OPERATOR_TOKENS": f"Olga Officer:{OLGA}, Vera Valid:{VERA}",
            "GIT_CONFIG_COUNT": "2",
            "GIT_CONFIG_KEY_0": "user.name",
            "GIT_CONFIG_VALUE_0": "Ada Lovelace",
            "GIT_CONFIG_KEY_1": "user.email",
            "GIT_CONFIG_VALUE_1": "ada@example.org",
        }

    def run(self, line: str, *more: str, codes: tuple[int, ...] = (0,)) -> None:
        print(f"{self.folder.name}: {line}", flush=True)
        command = [*line.split(), *more]
        done = subprocess.run(command, cwd=self.folder, env=self.environment, check=False)
        assert done.returncode in codes, (line, done.returncode)

    def commit(self, message: str) -> None:
        self.run("git add --all")
        self.run("git commit --quiet --no-verify -m", message)

    def change(self, path: str, **settings: str) -> None:
        file = self.folder / path
        text = file.read_text()
        for name, value in settings.items():
            text, times = re.subn(rf"\b({name}(?: = |: ))[\w.]+", rf"\g<1>{value}", text)
            assert times, name
        file.write_text(text)

    def train(self, message: str) -> None:
        self.commit(message)
        self.run("rung-ops incoming")
        self.run("dvc repro --quiet --all-pipelines")
        self.commit("Lock")

    def post(self, path: str, body: Any, token: str = "") -> Any:
        headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
        text = json.dumps(body, default=lambda value: value.isoformat()).encode()
        url = f"http://127.0.0.1:{PORT}{path}"
        with urllib.request.urlopen(urllib.request.Request(url, text, headers)) as answer:
            return json.load(answer)

    def serve(self, *options: str) -> subprocess.Popen[bytes]:
        command = ["rung-ops", "serve", "--port", str(PORT), *options]
        found = shutil.which(command[0], path=self.environment["PATH"])
        server = subprocess.Popen(command, executable=found, cwd=self.folder, env=self.environment)
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health/ready")
                return server
            except OSError:
                time.sleep(0.1)
        raise TimeoutError("the service is not ready")

    def rows(self, target: str, count: int) -> list[dict[str, Any]]:
        return pl.read_parquet(self.folder / "data/test.parquet").tail(count).to_dicts()

    def keep(self, *patterns: str) -> None:
        """Pack files of the project into the archive beside this script."""

        def anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
            member.uname = member.gname = ""
            member.uid = member.gid = 0
            return member

        found = {file for pattern in patterns for file in self.folder.glob(pattern)}
        with tarfile.open(HERE / f"{self.folder.name}.tar.xz", "w:xz") as archive:
            for file in sorted(found):
                if file.is_file() and file.name != ".lock":
                    archive.add(file, str(file.relative_to(self.folder)), filter=anonymous)


def velocity(project: Project) -> None:
    """A release serves, another is its shadow; 300 predictions, their outcomes, a monitor's pass."""
    sample = project.folder / "data/sample/flights.parquet"
    pl.read_parquet(sample).gather_every(20).write_parquet(sample)
    project.change("params.toml", max_iter="10", max_leaf_nodes="7", min_samples_leaf="50")
    project.change("ops/gate.toml", margin="0.1")  # few rows
    project.change("ops/rollout.toml", share="1.0")
    project.run("rung-ops keys")
    for learning_rate in ("0.05", "0.1"):
        project.change("params.toml", learning_rate=learning_rate)
        project.train("Train")
        project.run("rung-ops gate")
        project.run("rung-ops release")
        project.run("rung-ops deploy production")
    rows = project.rows("late", 300)
    outcomes = [row.pop("late") for row in rows]
    server = project.serve()
    answers = [project.post("/predict", rows[at : at + 100]) for at in range(0, 300, 100)]
    server.terminate()
    server.wait()
    ids = [one for answer in answers for one in answer["ids"]]
    (project.folder / "data/outcomes").mkdir()
    table = pl.DataFrame({"id": ids, "late": outcomes})
    table.write_parquet(project.folder / "data/outcomes/late.parquet")
    project.run("rung-ops autopilot", codes=(0, 1))
    project.keep(
        *("release.pub", "data/outcomes/*", "logs/**/*.parquet"),
        *("releases/production/**/*", "releases/autopilot/passes/*"),
        *("reports/run.json", "reports/gate.json", "reports/monitor/status.json"),
    )


def governance(project: Project) -> None:
    """An approved release serves; 100 predictions, an override, a stop and its end."""
    signers = project.folder / "governance/allowed_signers"
    key = project.folder.parent / "vera.key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key], check=True)
    public = key.with_suffix(".key.pub").read_text()
    signers.write_text(f'vera@example.org namespaces="rung-approval" {public}')
    project.change("governance/change_control_plan.yaml", valid_days="1827")
    rewrite = "import sys; from rung_ops.governance import example_text, approval as of; "
    rewrite += "example_text.rewrite(of.ROOT, sys.argv[1])"
    written = (
        "Loan officers of our bank in Trento read this beside the file, and decide themselves."
    )
    project.run("python -c", rewrite, written)
    project.run("rung-ops governance keys")
    project.train("Train")
    project.run("rung-ops approve 1", codes=(1,))  # writes what a validator has to answer
    complete_record(project)
    project.run(f"rung-ops approve 1 --key {key}")
    project.commit("Approve of version 1")
    project.run("rung-ops governance release 1")
    project.run("rung-ops governance deploy production")
    project.run("rung-ops governance promote 1")
    rows = project.rows("bad", 100)
    for row in rows:
        del row["bad"]
    server = project.serve("--with", "rung_ops.governance.oversight")
    token = (project.folder / ".keys/service.token").read_text().strip()
    answers = project.post("/predict", rows, token)
    override = {"id": answers["ids"][0], "decision": "grant", "reason": "The bank made an error"}
    project.post("/override", override, OLGA)
    project.post("/stop", {"reason": "Refuses everybody since noon"}, OLGA)
    project.post("/resume", {"reason": "A column was empty, and is filled again"}, VERA)
    server.terminate()
    server.wait()
    project.keep(
        *("release.pub", "governance/audit.pub", "governance/allowed_signers"),
        *("governance/change_control_plan.yaml", "governance/validation/*-1.*"),
        *("logs/production/predictions/**/*",),
        *("releases/production/**/*", "reports/run.json", "reports/gate.json"),
    )


def complete_record(project: Project) -> None:
    """Answer what is empty in a record, as a validator would."""
    (path,) = (project.folder / "governance/validation").glob("*-1.yaml")
    record = yaml.safe_load(path.read_text()) | RECORD
    record["date"] = str(record["date"])
    path.write_text(yaml.safe_dump(record, sort_keys=False))


def main(folder: Path) -> None:
    """Make both projects, and keep what is read later."""
    rung = folder / "rung"
    commands: list[list[str | Path]] = [
        ["git", "clone", "--quiet", "--no-checkout", ROOT, rung],
        ["git", "-C", rung, "checkout", "--quiet", COMMIT],
        ["uv", "sync", "--quiet", "--group", "machinery", "--project", rung],
    ]
    for command in commands:
        subprocess.run(command, check=True)
    binaries = rung / ".venv/bin"
    for use_case, make in {"velocity": velocity, "governance": governance}.items():
        project = Project(folder / use_case, binaries)
        answers = ["--defaults", "--level", str(ANSWER[use_case]), "--use-case", use_case]
        new: list[str | Path] = [
            binaries / "rung",
            "new",
            project.folder,
            *answers,
            "--template",
            rung,
        ]
        subprocess.run([*new, "--template-version", COMMIT], check=True, env=project.environment)
        make(project)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
