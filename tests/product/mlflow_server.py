"""MLflow's server on the registry of a project, and nothing beside it."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.product.conftest import environment
from tests.product.processes import end_group
from tests.product.serving import free_port
from tests.product.variants import answers

PATIENCE = 300.0  # seconds for MLflow to load on a machine that does much


@contextmanager
def mlflow_server(project: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Start the registry of a project as a server; give its address and process."""
    port = free_port()
    server = subprocess.Popen(
        [
            *(project / ".venv/bin/mlflow", "server"),
            *("--backend-store-uri", f"sqlite:///{project}/mlflow.db"),
            *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        ],
        cwd=project,
        env=environment(
            MLFLOW_DISABLE_TELEMETRY="true", MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false"
        ),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        assert answers(f"{address}/health", PATIENCE)
        yield address, server
    finally:
        end_group(server)
