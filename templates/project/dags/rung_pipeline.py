"""When Airflow starts training, the monitor and the autopilot: the tasks that a person types.

Point Airflow's `dags_folder` here, or link this file into it. Airflow is no package of the project:
each task is `uv run poe ...` in the project's folder, with the environment of the worker. What
fails is tried again, and never beside another run of its kind.

Rung keeps this file; DAGs of your own go into files beside it.
"""

import os
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

PROJECT = Path(os.environ.get("PROJECT_FOLDER") or Path(__file__).resolve().parents[1])
NAME = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"]
# One of several models is a folder of models/; what is typed there is about that one.
MODELS = [PROJECT, *sorted(path.parent for path in PROJECT.glob("models/*/src"))]
START = datetime(2026, 1, 1, tzinfo=UTC)  # of the schedules; what lies before it is not made up for
# Named as in the CI files, where the same things start where the CI's schedule starts them.
WEEKLY, HOURLY, NIGHTLY = "43 4 * * 1", "17 * * * *", "37 3 * * *"


def dag(name: str, schedule: str, about: str) -> DAG:
    """Describe when something starts; two runs at a time would register in the same registry."""
    return DAG(
        f"{NAME}-{name}",
        description=about,
        schedule=schedule,
        start_date=START,
        catchup=False,
        max_active_runs=1,
        max_active_tasks=1,  # models share this clone, and git lets one commit at a time
        tags=[NAME, "rung"],
    )


def poe(
    task: str, model: Path, *options: str, retries: int = 2, hours: int = 2, **more: Any
) -> BashOperator:
    """Call a task of ops/tasks.toml as a person would; it says nothing to the next but its end."""
    return BashOperator(
        task_id=task if model == PROJECT else f"{model.name}-{task}",
        # Locked as in CI: install what uv.lock says or stop.
        bash_command=" ".join(["uv run --locked poe", task, *options]),
        cwd=str(model),
        append_env=True,
        env={"UV_NO_PROGRESS": "1"},
        retries=retries,
        retry_delay=timedelta(minutes=5),
        execution_timeout=timedelta(hours=hours),
        do_xcom_push=False,
        **more,
    )


def has(settings: str) -> bool:
    """Say whether the project is on a rung that has this file of ops/."""
    return (PROJECT / "ops" / settings).exists()


with dag("train", WEEKLY, "Fetch the data, run the pipeline, register the version"):
    for model in MODELS:
        poe("pull", model) >> poe("pipeline", model)

if has("monitor.toml"):
    with dag("monitor", HOURLY, "Look at what was predicted; fails when something is wrong"):
        for model in MODELS:
            # What it found it would find again.
            poe("monitor", model, "--if-deployed", retries=0, hours=1)

if has("autopilot.toml"):
    with dag("autopilot", NIGHTLY, "Look, decide, train, gate, release or take back"):
        # A pass that was interrupted is finished by the next one.
        for model in MODELS:
            poe("pull", model) >> poe("autopilot", model, retries=1, hours=3)
