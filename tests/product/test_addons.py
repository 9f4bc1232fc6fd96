"""The add-on of docs/addons.md works as the page has it, in a project that installs it from a folder."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.product.processes import receiving
from tests.product.serving import free_port
from tests.product.variants import Project, answers, start

pytestmark = [pytest.mark.slow, pytest.mark.every_commit]

PAGE = (ROOT / "docs/addons.md").read_text("utf-8")
FILES = dict(re.findall(r'^```\w+ title="([^"]+)"\n(.*?)^```$', PAGE, re.MULTILINE | re.DOTALL))
NOTIFY = "from rung_ops.project import hooks; hooks.notify('A subject', 'what happened')"
CHECK = """
import polars as pl
from rung_ops.monitoring import observation
print(observation.hook_problems(pl.DataFrame({"id": [1, 2]})))
"""


@pytest.fixture(scope="module")
def project(copier_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with the add-on, as the page installs it."""
    folder = tmp_path_factory.mktemp("house")
    made = start(copier_template, folder / "p", use_case="velocity", level=3)
    for name, text in FILES.items():
        (folder / "p/vendor/house_notifier").mkdir(exist_ok=True)
        (folder / "p/vendor/house_notifier" / name).write_text(text, "utf-8")
    install = re.findall(r"^uv add .*?(?=  )", PAGE, re.MULTILINE)
    assert 1 == len(install)
    made.run(install[0])
    return made


@pytest.fixture
def channel(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The messages that reach the house's channel."""
    messages: list[str] = []
    with receiving(lambda told: messages.append(told["text"])) as url:
        monkeypatch.setenv("HOUSE_CHANNEL", f"{url}/")
        yield messages


def test_its_verb_is_listed_and_run(project: Project, channel: list[str]) -> None:
    assert "house_notifier: reports to the house's channel\n  house try" in project.run(
        "uv run rung-ops --help"
    )

    project.run("uv run rung-ops house try")

    assert ["A message to try the channel: nothing happened"] == channel


def test_it_is_notified_and_asked_for_problems(project: Project, channel: list[str]) -> None:
    project.run(f'uv run python -c "{NOTIFY}"')
    assert ["A subject: what happened"] == channel

    assert "['only 2 predictions']" in project.run(f"uv run python -c '{CHECK}'")


def test_the_service_answers_its_route(project: Project, channel: list[str]) -> None:
    project.run("uv run poe keys")
    port = free_port()
    service = project.begin("-m", "rung_ops", "serve", "--port", str(port))
    try:
        assert answers(f"http://127.0.0.1:{port}/channel", seconds=60)
    finally:
        service.terminate()
        service.wait(timeout=30)
