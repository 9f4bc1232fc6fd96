"""How many commands it takes from a trained version until it is approved and answers."""

import json
from pathlib import Path

import pytest
import yaml

from tests.product.serving import free_port
from tests.product.variants import (
    RECORD,
    Project,
    ask,
    in_production,
    promise_less,
    serving,
    start,
    validators_key,
    write_documents,
)

pytestmark = pytest.mark.slow


class Typist(Project):
    """Counts what is typed: commands, and one commit as one."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.typed: list[str] = []

    def run(self, command: str) -> str:
        self.typed.append(command)
        return super().run(command)

    def fail(self, command: str) -> str:
        self.typed.append(command)
        return super().fail(command)

    def commit(self, message: str) -> None:
        self.typed.append("git commit")
        super().commit(message)


def approve_and_serve(project: Typist, version: str, key: Path) -> None:
    """Bring a trained version to production, as validator, releaser and operator do."""
    assert "Answer what is empty in it" in project.fail(f"uv run poe approve {version}")
    (record,) = (project.folder / "governance/validation").glob(f"*-{version}.yaml")
    content = yaml.safe_load(record.read_text()) | RECORD
    content["evidence"] = content["evidence"] or ["the run, made again from its commit"]
    record.write_text(yaml.safe_dump(content | {"date": str(content["date"])}, sort_keys=False))
    project.run(f"uv run poe approve {version} --key {key}")
    project.commit(f"Approve version {version}")
    project.run(f"uv run poe release {version}")
    project.run("uv run poe deploy production")
    project.run(f"uv run poe promote {version}")


def draw_less_towards_zero(project: Typist) -> None:
    """Change a parameter within the plan's bounds: a version like the one before."""
    path = project.folder / "params.toml"
    text = path.read_text()
    assert text.count("C = 0.3 ") == 1
    path.write_text(text.replace("C = 0.3 ", "C = 0.31 "))
    project.commit("Draw less towards zero")


def test_a_trained_version_is_approved_and_serves_after_six_commands_and_one_record(
    copier_template: Path, tmp_path: Path
) -> None:
    made = start(copier_template, tmp_path / "p", use_case="governance", team_size="teams", level=3)
    project = Typist(made.folder)
    key = validators_key(made)  # the owners of allowed_signers add its line, once
    assert key is not None
    write_documents(made)
    promise_less(project)
    project.run("uv run poe keys")
    project.commit("Publish the keys")
    once = len(project.typed)

    counts, releases = [], project.folder / "releases"
    for version in ("1", "2"):
        if version == "2":
            draw_less_towards_zero(project)
        project.run("uv run poe pipeline")
        project.commit(f"Train version {version}")
        project.typed.clear()
        approve_and_serve(project, version, key)
        counts.append(len(project.typed))
        with serving(project, free_port()) as address:
            row = json.loads((in_production(releases) / "contract.json").read_text())["example"]
            assert ask(address, row)["release"].startswith(f"v{version}-")

    assert (once, counts) == (2, [6, 6])
