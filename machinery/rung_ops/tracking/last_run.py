"""The last run of the pipeline: its record, the origin of its model, and whether that still holds.

reports/run.json names the run, the model and the version. The origin is the commit, with hashes of the data
and the parameters. `dvc repro --single-item track` records the parameters and the commit of now, of a model
that may have been trained from others: changes_since_training() finds that.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rung_ops import contract
from rung_ops.data import dvc
from rung_ops.errors import StageError
from rung_ops.model import bundle
from rung_ops.project import current
from rung_ops.project.paths import shown
from rung_ops.system import files, git
from rung_ops.system.files import md5
from rung_ops.system.printable import printable


def run_file() -> Path:
    """Return the path of the record of the last run."""
    return current().reports / "run.json"


def read() -> dict[str, str]:
    """Read run_id, model and version; empty if the pipeline never completed."""
    try:
        content = json.loads(run_file().read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return {str(key): str(value) for key, value in content.items()}


def write(run_id: str, model: str, version: str) -> None:
    """Write reports/run.json."""
    run_file().parent.mkdir(parents=True, exist_ok=True)
    content = {"run_id": run_id, "model": model, "version": version}
    run_file().write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def write_and_commit(run_id: str, model: str, version: str) -> None:
    """Write reports/run.json outside the pipeline's stage, and commit it to DVC.

    Otherwise DVC would see a changed output and record the run a second time. Where DVC refuses, the file
    is as it was before, so that the next try finds the same work to do.
    """
    before = run_file().read_bytes() if run_file().exists() else None
    write(run_id, model, version)
    # Without --quiet, which would keep the reason back.
    done = dvc.run(current().root, "commit", "--force", "track")
    if done.returncode != 0:
        if before is None:
            run_file().unlink()
        else:
            files.write(run_file(), before)
        raise StageError(
            f"DVC could not commit {shown(run_file())} with version {version}, so the file was put back: "
            f"{printable(done.stderr.strip())}"
        )


def origin() -> dict[str, str]:
    """Return the origin of a model trained now.

    Returns:
        git_commit (40 hex digits), git_author, git_dirty ("true" with uncommitted changes),
        data_hash (MD5 of the validated rows, as in dvc.lock), params_hash (SHA-256), and
        git_trainer where git knows who trains.
    """
    try:
        commit, is_dirty = dvc.checkout(current().root)
        author = _git("show", "--no-patch", "--format=%an <%ae>", "HEAD")
    except git.GitError as error:
        raise StageError("Commit the project first: a model is traced to a commit.") from error
    return {
        "git_commit": commit,
        "git_author": author,
        "git_dirty": "true" if is_dirty else "false",
        "data_hash": data_hash(),
        "params_hash": params_hash(),
        **_trainer(),
    }


def _trainer() -> dict[str, str]:
    try:
        known = _git("var", "GIT_COMMITTER_IDENT")
    except git.GitError:  # in CI it may not know
        return {}
    return {"git_trainer": known.rpartition(">")[0] + ">"}


def data_hash() -> str:
    """Read the hash of the validated rows from dvc.lock, or compute it if DVC has not run."""
    return recorded_hash(current().rows) or md5(current().rows)


def recorded_hash(path: Path) -> str:
    """Read the MD5 of a stage's output from dvc.lock; empty if DVC has not made it."""
    outs = (out for stage in _outs().values() for out in stage)
    return next((str(out.get("md5", "")) for out in outs if out["path"] == shown(path)), "")


def _outs() -> dict[str, list[dict[str, Any]]]:
    """Read what each stage made from dvc.lock; empty without DVC."""
    stages = dvc.entries(current().root / "dvc.lock")
    return {name: stage.get("outs", []) for name, stage in stages}


def _git(*arguments: str) -> str:
    return git.output(current().root, *arguments)


def newer(facts: Mapping[str, str]) -> list[str]:
    """Say which files of a version are other ones here, and how they come into a version.

    A hash that the version's origin lacks is not compared.
    """
    here = {
        "src/": (
            facts.get("source_hash"),
            bundle.source_hash_of_folder(current().root, contract.package()),
        ),
        "params.toml": (facts.get("params_hash"), params_hash()),
    }
    names = [name for name, (recorded, now) in here.items() if recorded and recorded != now]
    if not names:
        return []
    return [
        f"{' and '.join(names)} changed since version {facts['version']} was made: "
        "`uv run poe pipeline` registers a version of what is here"
    ]


def params_hash() -> str:
    """Hash params.toml with SHA-256, in hexadecimal."""
    return hashlib.sha256((current().root / "params.toml").read_bytes()).hexdigest()


def changes_since_training() -> list[str]:
    """List what has changed since the model was trained and evaluated: `model.C in params.toml`."""
    outputs = (current().model_file, current().refitted.parent, current().metrics)
    trained = {shown(file) for file in outputs}
    stages = [name for name, outs in _outs().items() if trained & {out["path"] for out in outs}]
    if not stages:  # trained without DVC
        return []
    done = dvc.run(current().root, "status", "--json", *stages)
    if done.returncode != 0:
        raise StageError(f"DVC does not tell what was trained: {printable(done.stderr.strip())}")
    status = json.loads(done.stdout or "{}")
    return sorted({each for stage in status.values() for part in stage for each in _named(part)})


def _named(part: object) -> Iterator[str]:
    if not isinstance(part, dict):  # "changed command", in words
        yield printable(str(part))
        return
    for changed in part.values():
        for path, state in changed.items():
            if isinstance(state, dict):
                yield from (f"{name} in {printable(path)}" for name in state)
            else:
                yield printable(path)
