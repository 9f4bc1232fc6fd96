"""Hooks that a team writes and names in pyproject.toml: service, report and monitor call them."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.product.serving import free_port
from tests.product.variants import FEW_ROWS, Project, promise_less, serving, start

pytestmark = pytest.mark.slow

HOOKS = '''
"""What our service does beside predicting."""

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from rung_ops.training.evaluate import Plot
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

App = Callable[[Any, Any, Any], Awaitable[None]]


def api_key(app: App) -> App:
    """Answer nothing but health checks without our key."""

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        asked = scope["type"] == "http" and not scope["path"].startswith("/health/")
        if asked and dict(scope["headers"]).get(b"x-api-key") != b"secret":
            refused = JSONResponse({"error": "x-api-key is missing or wrong."}, 401)
            await refused(scope, receive, send)
            return
        await app(scope, receive, send)

    return wrapped


def team(request: Request) -> JSONResponse:
    """Say who answers the phone."""
    return JSONResponse({"team": "delays"})


def routes() -> list[Route]:
    """Add a page of ours."""
    return [Route("/team", team)]


def known_distance(rows: pl.DataFrame) -> pl.DataFrame:
    """Take the distance from our table, whatever the caller says."""
    return rows.with_columns(distance=pl.lit(500).cast(rows.schema["distance"]))


def careful(rows: pl.DataFrame, predictions: np.ndarray) -> np.ndarray:
    """Never be sure."""
    assert (rows["distance"] == 500).all()
    return predictions.clip(0.4, 0.6)


def by_distance(model: Any, rows: pl.DataFrame, predicted: np.ndarray) -> Iterator[Plot]:
    """Draw what is predicted at each distance."""
    table = pl.DataFrame({"distance": rows["distance"], "predicted": predicted})

    def draw(axes: Axes, table: pl.DataFrame) -> None:
        axes.scatter(table["distance"], table["predicted"])

    yield Plot("by_distance", "Predictions by distance", table, draw)


def widest(rows: pl.DataFrame, predicted: np.ndarray) -> dict[str, float]:
    """Say how far apart the predictions are."""
    return {"widest": float(np.ptp(predicted))}


def not_too_many(predictions: pl.DataFrame) -> list[str]:
    """Report more than one prediction a flight."""
    return [f"{predictions.height} predictions of one flight"]


def tell(subject: str, message: str) -> None:
    """Leave the message where our pager looks."""
    Path("told.txt").write_text(f"{subject}\\n{message}")
'''
NAMED = """
[tool.rung.hooks]
asgi_middleware = "late_flights.hooks:api_key"
routes = "late_flights.hooks:routes"
before_prediction = "late_flights.hooks:known_distance"
after_prediction = "late_flights.hooks:careful"
report_plots = "late_flights.hooks:by_distance"
report_metrics = "late_flights.hooks:widest"
monitor_check = "late_flights.hooks:not_too_many"
notify = "late_flights.hooks:tell"
"""


@pytest.fixture(scope="module")
def project(copier_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Make a project on rung 4 with hooks, whose first model is in production."""
    folder = tmp_path_factory.mktemp("hooks") / "project"
    project = start(copier_template, folder, use_case="velocity", level=4)
    (folder / "few.py").write_text(FEW_ROWS)
    project.run("uv run python few.py && rm few.py")
    promise_less(project)
    (folder / "src/late_flights/hooks.py").write_text(HOOKS.lstrip())
    with (folder / "pyproject.toml").open("a") as file:
        file.write(NAMED)
    project.commit("Add hooks")
    project.run("uv run poe pipeline")
    project.run("uv run poe keys")
    project.commit("Train")
    project.run("uv run poe release")
    project.run("uv run poe deploy production --without-gate 'made for a test'")
    return project


def ask(url: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    """Make a request; return status and answer."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, sent), timeout=30) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_a_service_asks_for_the_key_enriches_clips_and_answers_further_routes(
    project: Project,
) -> None:
    with serving(project, free_port()) as address:
        status, refused = ask(f"{address}/predict", {})
        assert (status, refused) == (401, {"error": "x-api-key is missing or wrong."})
        assert ask(f"{address}/team")[0] == 401

        assert ask(f"{address}/team", x_api_key="secret") == (200, {"team": "delays"})
        status, model = ask(f"{address}/model", x_api_key="secret")
        example = model["contract"]["example"]
        rows = [example | {"distance": miles} for miles in (100, 4000)]
        status, answer = ask(f"{address}/predict", rows, x_api_key="secret")

    assert status == 200
    assert answer["predictions"][0] == answer["predictions"][1]
    assert 0.4 <= answer["predictions"][0] <= 0.6


def test_the_report_has_the_plot_and_the_figure(project: Project) -> None:
    figures = json.loads((project.folder / "reports/metrics.json").read_text())

    assert 0 < figures["widest"] <= 1
    assert "Predictions by distance" in (project.folder / "reports/report.html").read_text()


def test_the_monitor_counts_what_the_check_finds_and_notifies(project: Project) -> None:
    output = project.fail("uv run poe monitor")

    assert "- 2 predictions of one flight\n" in output
    assert (
        "2 predictions of one flight"
        in (project.folder / "reports/monitor/report.html").read_text()
    )
    subject, _, message = (project.folder / "told.txt").read_text().partition("\n")
    assert "the monitor found" in subject
    assert "2 predictions of one flight" in message
    (project.folder / "told.txt").unlink()


def test_the_code_of_the_hooks_passes_the_checks_of_the_project(project: Project) -> None:
    project.run("uv run poe check")
