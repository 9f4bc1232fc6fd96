"""The generated CI really runs: a workflow with act, a job with gitlab-ci-local, and their site."""

import base64
import json
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.product.conftest import Started, commit, run, search_path, tool
from tests.product.variants import Project, promise_less

STUBS = Path(__file__).parent / "stubs"
# act takes the checkout from the folder itself.
ACTION = re.compile(r"uses: ((?!actions/checkout@)([\w-]+)/([\w-]+)@\w+)")
# GitLab's, in their order; GitHub's are one workflow.
RELEASE_JOBS = ("build", "sign", "staging", "deploy")
KEY_JOBS = ("sign", "autopilot")  # those with the key that signs releases
Done = subprocess.CompletedProcess[str]
BROKEN = "\n\ndef test_that_is_broken_on_purpose():\n    assert [] == [1]\n"
# What builds a project, beside the packages of its lock.
BUILDS = ("editables", "hatchling", "packaging", "pathspec", "pluggy", "trove-classifiers")


def github(
    project: Path, job: str, event: str, artifacts: Path, *more: str, **secrets: str
) -> Done:
    """Run one workflow on this machine; actions that would be downloaded are stubs."""
    workflow = f".github/workflows/{job}.yml"
    used = sorted(set(ACTION.findall((project / workflow).read_text())))
    stubs = [
        f"--local-repository=https://github.com/{action}={STUBS / name}" for action, _, name in used
    ]
    return run(
        *(tool("act"), event, "-W", workflow, "-P", "ubuntu-latest=-self-hosted"),
        *("--no-cache-server", "--defaultbranch=main", "--env", f"ARTIFACTS={artifacts}"),
        *(*stubs, *more),
        # Not by act's own environment, which jobs on this machine inherit.
        *(part for pair in secrets.items() for part in ("--secret", "=".join(pair))),
        cwd=project,
        expect=None,
    )


def gitlab(project: Path, job: str, venv: Path, **variables: str) -> Done:
    """Run one job on this machine; its `pip` is that of a fresh virtual environment."""
    cache = cache_to_prune(project, venv.parent / "uv-cache")
    given = variables | {
        "UV_CACHE_DIR": str(cache),
        "UV_LINK_MODE": "hardlink",
        "MYPY_CACHE_DIR": os.environ["MYPY_CACHE_DIR"],
    }
    return run(
        *(tool("gitlab-ci-local"), "--force-shell-executor", "--shell-isolation"),
        *(part for pair in given.items() for part in ("--variable", "=".join(pair))),
        job,
        cwd=project,
        expect=None,
        PATH=search_path(venv / "bin"),
    )


def cache_to_prune(project: Path, folder: Path) -> Path:
    """Give a job what this machine has of its packages, by links, as it prunes its cache.

    The packages of the lock alone: to link and to prune all that a machine has takes a minute.
    """
    cache = Path(run("uv", "cache", "dir", cwd=project).stdout.strip())
    locked = {(name, "") for name in BUILDS}
    if (lock := project / "uv.lock").exists():
        packages = tomllib.loads(lock.read_text())["package"]
        locked |= {(package["name"], f"{package['version']}-") for package in packages}
    wheels = [
        wheel
        for name, version in locked
        for wheel in cache.glob(f"wheels-v*/pypi/{name}/{version}*")
    ]
    archives = [wheel.resolve() for wheel in wheels if wheel.is_symlink()]
    found = [*cache.glob("simple-v*"), *cache.glob("interpreter-v*"), *wheels, *archives]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    # What another process puts in or takes out meanwhile is missing, and fetched again.
    names = [path.relative_to(cache) for path in found]
    run("cp", "--archive", "--link", "--parents", *names, folder, cwd=cache, expect=None)
    # A lock that is the same file would wait for those who use the other cache.
    archived = ("-path", "*/archive-v*")
    run("find", folder, *archived, "-o", "-name", "*.lock", "-delete", cwd=folder)
    return folder


def job_of_github(workflow: Callable[..., Done], model: str = "") -> Callable[..., Done]:
    """Give what runs a job by its name and inputs: options of act, which runs workflows by event."""
    events = {"deploy": "push", "monitor": "schedule", "autopilot": "schedule"}

    def job(name: str, **inputs: str) -> Done:
        given = inputs | {"run": "1"} if inputs else {}
        if inputs and model:
            given["model"] = model
        text = [part for pair in given.items() for part in ("--input", "=".join(pair))]
        if model and not inputs:
            text = ["--matrix", f"model:{model}"]
        return workflow(name, events.get(name, "workflow_dispatch"), *text)

    return job


def job_of_gitlab(run_job: Callable[..., Done], venv: Path, model: str = "") -> Callable[..., Done]:
    """Give what runs a job by its name and inputs, which are variables."""

    def job(name: str, **inputs: str) -> Done:
        given = {name.upper(): value for name, value in inputs.items()}
        for each in RELEASE_JOBS if name == "release" else (name,):
            done = run_job(f"{each}: [{model}]" if model else each, venv, **given)
            if done.returncode:
                break
        return done

    return job


def break_a_test(project: Path) -> None:
    path = project / "tests" / "test_model.py"
    path.write_text(path.read_text() + BROKEN)
    commit(project, "Break a test")


@dataclass
class Site:
    """A project whose jobs share folders with the service, as on a self-hosted runner."""

    project: Project
    folder: Path
    secrets: dict[str, str]  # the private keys, which are nowhere else
    model: str = "."  # folder of the one that is looked at
    server: str = ""  # address of the MLflow server that keeps the versions

    def of(self, model: str) -> "Site":
        return replace(self, model=model)

    @property
    def home(self) -> Project:
        return Project(self.project.folder / self.model)

    @property
    def releases(self) -> Path:
        return self.folder / "releases" / self.model

    @property
    def variables(self) -> dict[str, str]:
        """Name the folders, and the server, as the jobs do."""
        names = ("RELEASES", "LOGS", "OUTCOMES")
        folders = {name: str(self.folder / name.lower()) for name in names}
        return folders | ({"MLFLOW_TRACKING_URI": self.server} if self.server else {})

    def github(self, job: str, event: str, *more: str) -> Done:
        given = [part for pair in self.variables.items() for part in ("--var", "=".join(pair))]
        folder = self.project.folder
        return github(folder, job, event, self.folder, *given, *more, **self.secrets)

    def gitlab(self, job: str, venv: Path, **more: str) -> Done:
        # It hides a variable in its logs only if that is one line without spaces.
        hidden = {
            name: base64.b64encode(key.encode()).decode()
            for name, key in self.secrets.items()
            if name != "RELEASE_PRIVATE_KEY" or job.startswith(KEY_JOBS)
        }
        return gitlab(self.project.folder, job, venv, **self.variables, **hidden, **more)

    def candidates(self) -> list[str]:
        return sorted(path.name for path in (self.releases / "candidates").glob("[!.]*"))

    def production(self) -> dict[str, Any]:
        text = (self.releases / "production/state.json").read_text()
        state: dict[str, Any] = json.loads(text)
        return state

    def waiting(self) -> list[str]:
        """Name the releases that came to production, where none has ever answered."""
        folder = self.releases / "production"
        assert not (folder / "state.json").exists()
        return sorted(path.name for path in (folder / "bundles").iterdir() if path.is_dir())

    def events(self) -> list[str]:
        lines = (self.releases / "production/history.jsonl").read_text().splitlines()
        return [json.loads(line)["event"] for line in lines]


def site(
    start: Started, folder: Path, prepare: Callable[[Path], None] | None = None, **answers: Any
) -> Site:
    """Make a project ready for its jobs: keys, limits, a repository to push to, a DVC remote."""
    project = Project(start(**answers))
    if prepare:
        prepare(project.folder)
    project.run("uv run poe keys")
    secrets = {
        f"{path.stem.upper()}_PRIVATE_KEY": path.read_text()
        for path in (project.folder / ".keys").iterdir()
    }
    shutil.rmtree(project.folder / ".keys")
    # What gitlab-ci-local writes is not part of the project.
    with (project.folder / ".git/info/exclude").open("a") as exclude:
        exclude.write(".gitlab-ci-local/\n")
    project.run(f"uv run dvc remote modify local url {folder / 'data'}")
    promise_less(project)
    project.commit("Set up")
    project.run(
        f"git init --quiet --bare --initial-branch main {folder / 'origin.git'} && "
        f"git remote set-url origin {folder / 'origin.git'} && git push --quiet origin main"
    )
    return Site(project, folder, secrets)
