"""Whether the model and its figures were made from what is here now, as dvc.lock recorded it.

`dvc repro --single-item track` records the parameters and the commit of now, of a model that may
have been trained from others.
"""

import json
from collections.abc import Iterator

import yaml

from rung_ops.data import dvc
from rung_ops.errors import StageError
from rung_ops.project import current
from rung_ops.project.paths import shown
from rung_ops.system.printable import printable


def changes() -> list[str]:
    """List what has changed since the model was trained and evaluated: `model.C in params.toml`.

    Raises:
        StageError: DVC does not tell; the message repeats what it said.
    """
    stages = list(_stages())
    if not stages:  # trained without DVC
        return []
    done = dvc.run(current().root, "status", "--json", *stages)
    if done.returncode != 0:
        raise StageError(f"DVC does not tell what was trained: {printable(done.stderr.strip())}")
    status = json.loads(done.stdout or "{}")
    return sorted({each for stage in status.values() for part in stage for each in _named(part)})


def _stages() -> Iterator[str]:
    """Name the stages of dvc.lock that write the model and its figures."""
    lock = current().root / "dvc.lock"
    content = yaml.safe_load(lock.read_text(encoding="utf-8")) if lock.is_file() else None
    for name, stage in ((content or {}).get("stages") or {}).items():
        paths = {out["path"] for out in stage.get("outs", [])}
        if paths & {shown(current().model_file), shown(current().metrics)}:
            yield name


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
