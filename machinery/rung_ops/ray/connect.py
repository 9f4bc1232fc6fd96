"""Connect to Ray, or say why not; and the code that is sent to its workers."""

import contextlib
import errno
import os
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rung_ops.errors import StageError
from rung_ops.project import current, paths
from rung_ops.project.paths import project_name
from rung_ops.ray.settings import Settings
from rung_ops.training import refit

# Before Ray is imported: nothing is sent to its makers, a path means the same in a trial, and what
# Ray Data's own use of actors makes it warn of is not said to the user.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
# Workers use the packages of their machine, even if this process was started by `uv run`.
os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"

STORE = 100 * 2**20  # bytes of Ray's object store in shared memory; its minimum is 75 MiB
MB = 2**20
NOT_SENT = shutil.ignore_patterns("__pycache__", "tests", "*.pyc")


@contextlib.contextmanager
def connected(settings: Settings, store: int = STORE) -> Iterator[Any]:
    """Start Ray on this machine, or connect to the cluster; yield the module `ray`.

    `store`: bytes of the object store, if Ray is started on this machine.
    """
    try:
        import ray
    except ImportError as error:
        raise StageError(f"Ray cannot be imported ({error}): run `uv sync`.") from error
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    with tempfile.TemporaryDirectory(prefix="rung-ray-") as folder:
        if settings.address:
            _check_address(settings)
            with _time_limit(settings):
                _join(ray, settings, sent(Path(folder)), quiet)
        else:
            ray.init(
                # "local" prevents connecting to a cluster that runs on this machine.
                address="local",
                num_cpus=max(1, round(settings.workers * settings.cpus)),
                object_store_memory=store,
                include_dashboard=False,
                **quiet,
            )
        try:
            _check_resources(ray, settings)
            yield ray
        finally:
            ray.shutdown()


def sent(folder: Path) -> dict[str, Any]:
    """Copy the code that workers on other machines need; return Ray's runtime environment.

    Only src/, the model and the settings are copied: no data and no secrets. The machines need
    rung-ops and Ray installed; rung-ops finds its project in the working directory.
    """
    code = folder / "code"
    (code / "ops").mkdir(parents=True)
    for source in dict.fromkeys((current().repository, current().root)):
        for file in (*source.glob("*.toml"), *source.glob("ops/*.toml")):
            shutil.copy(file, code / file.relative_to(source))
    if current().model_file.exists():
        (code / "model").mkdir()
        shutil.copy(refit.served_model(), code / "model" / current().model_file.name)
    name = paths.package_of(current().root)
    if (
        current().root != current().repository
    ):  # one of several models: on the worker it is the only one
        (code / "pyproject.toml").write_text(
            f'[project]\nname = "{project_name()}"\n\n[tool.rung]\npackage = "{name}"\n',
            encoding="utf-8",
        )
    package = folder / "src" / name
    shutil.copytree(current().root / "src" / name, package, ignore=NOT_SENT)
    return {
        "working_dir": str(code),
        "py_modules": [str(package)],
        "env_vars": {"OMP_WAIT_POLICY": "passive", "RAY_CHDIR_TO_TRIAL_DIR": "0"},
    }


def _check_address(settings: Settings) -> None:
    """Check that the address answers; Ray itself would retry for two minutes."""
    if settings.address == "auto":
        return
    if "://" in settings.address:
        raise StageError(
            f"{settings.address} is not supported: the Ray Client would run Tune on the cluster, "
            "separately from the search. Use the address of the cluster itself, "
            '"HOST:6379", from a machine in its network, or submit a job to it.'
        )
    host, _, port = settings.address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), settings.wait_seconds).close()
    except ValueError as error:
        raise StageError(
            f'`address`: got {settings.address!r}; expected "HOST:PORT" or "auto".'
        ) from error
    except OSError as error:
        raise StageError(
            f"Nothing answers at {settings.address} ({error}). Check that the cluster is running, "
            "and the address in ops/ray.toml or RAY_ADDRESS. To use this machine, set "
            '`address = ""`.'
        ) from error


@contextlib.contextmanager
def _time_limit(settings: Settings) -> Iterator[None]:
    """End the process if Ray hangs while connecting, which cannot be interrupted otherwise."""

    def give_up() -> None:
        print(
            f"{settings.address} did not answer like a Ray cluster within "
            f"{settings.wait_seconds:g} s. Check the port of its head, usually 6379. If it is "
            "slow, raise `wait_seconds` in ops/ray.toml.",
            file=sys.stderr,
            flush=True,
        )
        os._exit(1)

    watch = threading.Timer(settings.wait_seconds, give_up)
    watch.daemon = True
    watch.start()
    try:
        yield
    finally:
        watch.cancel()


def _join(ray: Any, settings: Settings, code: dict[str, Any], quiet: dict[str, Any]) -> None:
    try:
        ray.init(address=settings.address, runtime_env=code, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        message = " ".join(str(error).split())
        if "ersion mismatch" in message:
            raise StageError(
                f"{settings.address} runs another version than this project: {message} Install the "
                f"cluster with Ray {ray.__version__} and Python {sys.version.split()[0]}, or "
                "change both in this project."
            ) from error
        if "uthenti" in message or "token" in message:
            raise StageError(
                f"{settings.address} refuses access: {message} Set RAY_AUTH_TOKEN to the token of "
                "the cluster."
            ) from error
        raise StageError(f"{settings.address} cannot be used: {message}") from error


def _check_resources(ray: Any, settings: Settings) -> None:
    """Refuse workers that no machine has resources for: Ray would wait forever."""
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    wanted = settings.memory_mb * MB
    if any(
        has.get("CPU", 0) >= settings.cpus and has.get("memory", 0) >= wanted for has in machines
    ):
        return
    most = ", ".join(
        f"{has.get('CPU', 0):g} CPUs and {has.get('memory', 0) / MB:,.0f} MB" for has in machines
    )
    raise StageError(
        f"No machine has {settings.cpus:g} CPUs and {settings.memory_mb:,} MB for a worker "
        f"(available: {most}). Lower `cpus` or `memory_mb` in ops/ray.toml."
    )


def explain(error: BaseException) -> str:
    """Return the cause of an error and what to do about it."""
    chain = list(_causes(error))
    names = {type(one).__name__ for one in chain}
    texts = " ".join(str(one) for one in chain)
    if "OutOfMemoryError" in names:
        return (
            "A worker was killed because its machine ran out of memory. Lower `rows` or `workers` "
            "in ops/ray.toml, or raise `memory_mb`, so that fewer workers share a machine."
        )
    full = any(isinstance(one, OSError) and one.errno == errno.ENOSPC for one in chain)
    if full or "OutOfDiskError" in names or "No space left on device" in texts:
        return f"A disk is full: {_last(chain)} Free space, and run the command again."
    if names & {"ActorDiedError", "WorkerCrashedError", "NodeDiedError", "ObjectLostError"}:
        return (
            "Workers ended before they finished, more often than `retries` in ops/ray.toml allows: "
            "they had too little memory, or a machine was lost. See Ray's logs in "
            "/tmp/ray/session_latest/logs on their machine."
        )
    return _last(chain)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = getattr(error, "cause", None) or error.__cause__


def _last(chain: list[BaseException]) -> str:
    lines = str(chain[-1]).strip().splitlines() or [type(chain[-1]).__name__]
    # Ray puts the worker's traceback first, and the error into the last line.
    return lines[-1].strip() if "Traceback" in "".join(lines) else " ".join(lines)
