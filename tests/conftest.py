"""Fixtures and constants of all tests: the template, its questions, and renders that are made once."""

import contextlib
import hashlib
import json
import os
import threading
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import combinations, product
from pathlib import Path
from typing import Any

import copier as copier_api
import hypothesis
import pytest
import yaml

from rung.levels.ladder import load_vendors
from rung.system import plain_yaml

# A loaded machine takes longer.
hypothesis.settings.register_profile("rung", deadline=None)
hypothesis.settings.load_profile("rung")

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE_PATHS = ["copier.yml", "levels", "machinery", "templates"]

QUESTIONS = yaml.safe_load((ROOT / "levels/questions.yml").read_text("utf-8"))


def choices(question: str) -> list[Any]:
    """Return the answers that a question offers, the default first."""
    return list(QUESTIONS[question]["choices"].values())


GAMES, TEAM_SIZES, LEVELS = choices("use_case"), choices("team_size"), [0, 1, 2, 3, 4]
CI = load_vendors(ROOT / "levels")
# What the job files of a vendor say, by its declaration.
SYNTAX = {
    name: plain_yaml.load((ROOT / f"levels/ci/{name}.yml").read_text("utf-8"))["syntax"]
    for name in CI
}
VENDORS = [name for name, vendor in CI.items() if vendor.up_to == LEVELS[-1]]
INFRASTRUCTURE = {
    question: choices(question)
    for question in ("data", "tracking", "compute", "orchestrator", "features")
}
PLAIN: dict[str, Any] = {question: answers[0] for question, answers in INFRASTRUCTURE.items()}
# The default answers. At rung 0 `ci` is recorded only if it was answered.
DEFAULTS = {"use_case": "velocity", "team_size": "one"}
DEFAULTS_ABOVE = DEFAULTS | {"ci": "github"}
NAMES = {"velocity": "Late flights", "governance": "Credit risk"}  # of the samples
RELEASE = "99.99.99"  # as pytest-copier tags the template
CORE: dict[str, list[Any]] = {
    "use_case": GAMES,
    "team_size": TEAM_SIZES,
    "ci": VENDORS,
    "level": LEVELS,
}
CHOICES = CORE | INFRASTRUCTURE
# The settings of a house; groups of runners are GitHub's.
HOUSE: dict[str, Any] = {
    "image_mirror": "registry.acme.example:5000/hub",
    "base_image": "registry.acme.example:5000/hub/python:3.13-slim-trixie",
    "index_url": "https://pypi.acme.example/simple",
    "index_has_dates": False,
    "ca_bundle": "certificates/ca.pem",
    "owners": "acme risk=@bank/model-risk",
    "artifacts": "ghes",
    "runner": "group:ml",
}

# Answers to the questions of CHOICES, with numbers for vendors. The rows contain every pair of answers.
TABLE = """\
governance one    0 0 files     server machine           ci      redis
velocity   teams  0 0 warehouse local  ray               airflow embedded
velocity   team   1 0 store     server kubernetes        none    embedded
velocity   team   2 0 warehouse local  ray_on_kubernetes airflow embedded
velocity   one    2 1 warehouse server machine           none    embedded
velocity   team   0 1 store     local  ray               ci      redis
governance teams  1 1 files     local  kubernetes        airflow embedded
velocity   one    1 1 files     server ray_on_kubernetes ci      embedded
velocity   teams  0 2 store     server machine           airflow embedded
governance team   0 2 files     server ray               airflow embedded
governance one    1 2 warehouse local  kubernetes        ci      embedded
governance teams  2 2 store     local  ray_on_kubernetes none    redis
velocity   teams  1 3 warehouse local  machine           none    redis
velocity   team   2 3 files     local  ray               none    embedded
governance one    0 3 files     local  kubernetes        airflow embedded
governance one    0 3 store     server ray_on_kubernetes ci      embedded
governance team   0 4 files     server machine           none    embedded
velocity   one    1 4 store     server ray               airflow embedded
governance team   2 4 store     local  kubernetes        airflow redis
governance teams  2 4 warehouse local  ray_on_kubernetes ci      embedded
"""


def every_pair() -> list[dict[str, Any]]:
    """Return the rows of TABLE, and one for each pair that it lacks because an answer is new.

    A new question needs a column in TABLE.
    """
    rows = [line.split() for line in TABLE.splitlines()]
    result = [
        dict(zip(CHOICES, [*row[:2], VENDORS[int(row[2])], int(row[3]), *row[4:]], strict=True))
        for row in rows
    ]
    for one, other in combinations(CHOICES, 2):
        for answers in product(CHOICES[one], CHOICES[other]):
            if not any(answers == (known[one], known[other]) for known in result):
                plain = {question: choices[0] for question, choices in CHOICES.items()}
                result.append(plain | dict(zip((one, other), answers, strict=True)))
    return result


VARIANTS = every_pair()
# Each team size and each vendor at least once: what every rung of both games is tested with.
TOGETHER = [
    (TEAM_SIZES[number % len(TEAM_SIZES)], VENDORS[number % len(VENDORS)])
    for number in range(max(len(TEAM_SIZES), len(VENDORS)))
]
COMBINATIONS: list[dict[str, Any]] = [
    dict(zip(CORE, [game, team_size, ci, level], strict=True))
    for game, (team_size, ci), level in product(GAMES, TOGETHER, LEVELS)
] + VARIANTS

Render = Callable[..., Path]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-trees", action="store_true", help="rewrite tests/trees/")


def of_the_sample(answers: dict[str, Any]) -> dict[str, Any]:
    """Name a project after its sample, and not after its folder."""
    return {"project_name": NAMES[answers.get("use_case", GAMES[0])]} | answers


def name_of(answers: dict[str, Any]) -> str:
    plain = [str(answers[question]) for question in CORE]
    special = [answers[name] for name in PLAIN if answers.get(name, PLAIN[name]) != PLAIN[name]]
    return "-".join(plain + special)


def files_of(folder: Path) -> dict[str, bytes]:
    """Read every file below a folder, by its path; git's own folder is left out."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }


@pytest.fixture(scope="session", autouse=True)
def cache_apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep renders and trusted templates out of the user's own folders."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNG_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        config = tmp_path_factory.mktemp("config")
        patch.setenv("RUNG_CONFIG_DIR", str(config))
        (config / "settings.yml").write_text("defaults: {}\n")
        patch.setenv("COPIER_SETTINGS_PATH", str(config / "settings.yml"))
        yield


@pytest.fixture(scope="session")
def copier_template_paths() -> list[str]:
    """Return the paths of this repository that pytest-copier copies as the template."""
    return TEMPLATE_PATHS


@pytest.fixture(scope="session")
def render(tmp_path_factory: pytest.TempPathFactory, copier_template: Path) -> Render:
    """Return a function that renders a project with Copier, without trust, once per set of answers.

    Parallel test processes share the renders: do not change them.
    """
    mine = tmp_path_factory.mktemp("rendering")
    together = mine.parent.parent if os.environ.get("PYTEST_XDIST_WORKER") else mine.parent
    shared = together / "rendered"
    shared.mkdir(exist_ok=True)

    def rendered(**answers: Any) -> Path:
        plain = DEFAULTS_ABOVE if answers.get("level") else DEFAULTS
        special = {name: answers[name] for name in answers if answers[name] != plain.get(name)}
        key = json.dumps(special, sort_keys=True).encode()
        made = shared / hashlib.sha256(key).hexdigest()[:16]
        if not made.exists():
            new = mine / made.name
            copier_api.run_copy(
                str(copier_template),
                new / "project",
                data=of_the_sample(special),
                vcs_ref=RELEASE,
                defaults=True,
                quiet=True,
            )
            with contextlib.suppress(OSError):  # another process has rendered it
                new.rename(made)
        return made / "project"

    return rendered


class Quiet(SimpleHTTPRequestHandler):
    """A server of a folder that does not log requests."""

    def log_message(self, *arguments: object) -> None:
        """Log nothing."""


@pytest.fixture
def index_folder(tmp_path: Path) -> Path:
    """Make a package index of plain HTML, without upload dates, with two empty packages."""
    for package in ("tiny", "poethepoet"):
        page = tmp_path / f"index/simple/{package}/index.html"
        page.parent.mkdir(parents=True)
        name = f"{package}-1.0-py3-none-any.whl"
        about = f"{package}-1.0.dist-info"
        with zipfile.ZipFile(page.parent / name, "w") as wheel:
            wheel.writestr(
                f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n"
            )
            wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\n")
            wheel.writestr(f"{about}/RECORD", "")
        page.write_text(f'<a href="{name}">{name}</a>')
    return tmp_path / "index"


@pytest.fixture
def index(index_folder: Path) -> Iterator[str]:
    handler = partial(Quiet, directory=str(index_folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
