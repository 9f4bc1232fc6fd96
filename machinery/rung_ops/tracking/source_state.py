"""The origin of a model: hashes of the commit, the data and the parameters."""

import hashlib

import yaml

from rung_ops.data import dvc
from rung_ops.errors import StageError
from rung_ops.project import current
from rung_ops.project.paths import shown
from rung_ops.system import git


class NoCommitError(StageError):
    """The project has no commit that a model could be traced to."""


def origin() -> dict[str, str]:
    """Return the origin of a model trained now.

    Returns:
        git_commit (40 hex digits), git_author, git_dirty ("true" with uncommitted changes),
        data_hash (MD5 of the validated rows, as in dvc.lock), params_hash (SHA-256), and
        git_trainer where git knows who trains.

    Raises:
        NoCommitError: the project has no commit yet.
    """
    try:
        commit = _git("rev-parse", "HEAD")
        author = _git("show", "--no-patch", "--format=%an <%ae>", "HEAD")
        # Without the lock it does not write the index anew, for which a full disk has no room.
        changed = _git(
            "--no-optional-locks", "status", "--porcelain", "--no-renames", "-z", "--", "."
        )
        above = _git("rev-parse", "--show-prefix")
    except git.GitError as error:
        raise NoCommitError("Commit the project first: a model is traced to a commit.") from error
    # What the pipeline itself writes does not count as uncommitted.
    stages = dvc.stage_outputs(current().root)
    files = [entry[3:].removeprefix(above) for entry in changed.split("\0") if entry]
    dirty = [path for path in files if not dvc.is_stage_output(path, stages)]
    return {
        "git_commit": commit,
        "git_author": author,
        "git_dirty": "true" if dirty else "false",
        "data_hash": data_hash(),
        "params_hash": hashlib.sha256((current().root / "params.toml").read_bytes()).hexdigest(),
        **_trainer(),
    }


def _trainer() -> dict[str, str]:
    """Tell who trains, according to git; in CI it may not know."""
    try:
        known = _git("var", "GIT_COMMITTER_IDENT")
    except git.GitError:
        return {}
    return {"git_trainer": known.rpartition(">")[0] + ">"}


def data_hash() -> str:
    """Read the hash of the validated rows from dvc.lock, or compute it if DVC has not run."""
    lock = current().root / "dvc.lock"
    if lock.exists():
        stages = yaml.safe_load(lock.read_text(encoding="utf-8")).get("stages", {})
        for out in stages.get("validate", {}).get("outs", []):
            if out["path"] == shown(current().rows):
                return str(out["md5"])
    with current().rows.open("rb") as rows:
        return hashlib.file_digest(rows, "md5").hexdigest()


def _git(*arguments: str) -> str:
    return git.output(current().root, *arguments)
