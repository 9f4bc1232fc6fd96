"""A project takes its rows out of a real PostgreSQL.

What a pull that ends in the middle leaves is tried in machinery/tests/data/warehouse.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.command import git
from tests.conftest import ROOT
from tests.product.postgres import OWNER, READER, Server, running
from tests.product.variants import Project, start

pytestmark = pytest.mark.slow

TABLE = (
    "CREATE TABLE flights (scheduled timestamp, carrier text, flight smallint, origin char(3), "
    "destination varchar(3), distance smallint, late boolean)"
)
PULL = ".venv/bin/python -m rung_ops warehouse pull"  # what `uv run poe data pull` runs


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as started:
        yield started


@pytest.fixture(scope="module")
def made(copier_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("made") / "project"
    return start(copier_template, folder, data="warehouse", use_case="velocity", level=0)


class Trial:
    """A project, a warehouse with its table, and pulls as a person types them."""

    def __init__(self, project: Project, server: Server) -> None:
        self.project = project
        self.server = server
        self.folder = project.folder / "data/incoming/warehouse"
        self.url = server.url()

    def pull(self, command: str = PULL) -> str:
        with self._addressed():
            return self.project.run(command)

    def refused(self, command: str = PULL) -> str:
        """Try to, and return why not; never a traceback, never the password."""
        with self._addressed():
            reported = self.project.fail(command)
        assert "Traceback" not in reported, reported
        assert READER not in reported
        return reported

    def insert(self, first: str, days: int, a_day: int = 50) -> None:
        """Add flights to the warehouse, the same number each day."""
        self.server.sql(
            f"INSERT INTO flights SELECT timestamp '{first}' + day * interval '1 day' "
            "+ each * interval '1 second', 'AA', each % 9000 + 1, 'JFK', 'BOS', 200, each % 5 = 0 "
            f"FROM generate_series(0, {days - 1}) day, generate_series(0, {a_day - 1}) each"
        )

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted(self.folder.glob("*"))}

    def there(self) -> int:
        return int(self.server.sql("SELECT count(*) FROM flights"))

    @contextlib.contextmanager
    def _addressed(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("WAREHOUSE_URL", self.url)
            yield


@pytest.fixture
def trial(made: Project, server: Server) -> Iterator[Trial]:
    """An empty table, and a project as it was made."""
    server.sql("DROP TABLE IF EXISTS flights", TABLE)
    made.run("git checkout --quiet . && rm -rf data/incoming/warehouse")
    yield Trial(made, server)


def test_env_gives_the_address_and_is_not_part_of_the_repository(trial: Trial) -> None:
    trial.insert("2013-01-01", days=31)
    trial.url = ""
    env = trial.project.folder / ".env"
    env.write_text(f"WAREHOUSE_URL={trial.server.url()}\n")
    try:
        assert "1,550 rows taken" in trial.pull("uv run poe data pull")
        output = trial.project.run("uv run poe data")
    finally:
        env.unlink()

    assert f"postgresql://reader@127.0.0.1:{trial.server.port}/postgres" in output
    assert READER not in output
    assert trial.project.is_clean()


def test_a_server_whose_clock_is_behind_decides_what_is_over(trial: Trial) -> None:
    trial.insert("2013-01-01", days=60)
    trial.server.sql(
        "CREATE SCHEMA skew",
        "CREATE FUNCTION skew.now() RETURNS timestamptz LANGUAGE sql AS "
        "$$ SELECT timestamptz '2013-02-10 12:00Z' $$",
        "GRANT USAGE ON SCHEMA skew TO reader",
        "ALTER ROLE reader SET search_path = skew, pg_catalog, public",
    )
    try:
        trial.pull()
    finally:
        trial.server.sql("ALTER ROLE reader RESET search_path", "DROP SCHEMA skew CASCADE")

    assert list(trial.files()) == ["2013-01-01--2013-01-31.parquet"]


WRONG = {
    "a wrong password": ("", "refused the user or the password"),
    "an expired password": ("ALTER ROLE reader VALID UNTIL '2020-01-01'", "expired (VALID UNTIL)"),
    "a blocked user": ("ALTER ROLE reader NOLOGIN", "blocked"),
    "no right to read": ("REVOKE SELECT ON flights FROM reader", "GRANT SELECT"),
    "no such table": ("ALTER TABLE flights RENAME TO departures", "table that does not exist"),
    "too little time": ("ALTER ROLE reader SET statement_timeout = 1", "`window_days` smaller"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_the_server_refuses_is_reported_with_what_to_do(trial: Trial, what: str) -> None:
    statement, text = WRONG[what]
    trial.insert("2013-01-01", days=31, a_day=4000)
    if statement:
        trial.server.sql(statement)
    else:
        trial.url = trial.server.url(password=f"{READER}x")
    try:
        output = trial.refused()
    finally:
        trial.server.sql(
            "ALTER ROLE reader LOGIN VALID UNTIL 'infinity'",
            "ALTER ROLE reader RESET statement_timeout",
            "DROP TABLE IF EXISTS departures",
        )

    assert text in output
    assert f"reader@127.0.0.1:{trial.server.port}" in output
    assert trial.files() == {}


def test_of_many_rows_only_those_come_that_teach_and_judge(trial: Trial) -> None:
    trial.insert("2013-01-01", days=200, a_day=100)
    for name, before, after in (
        ("ops/warehouse.toml", 'rows = "all"', 'rows = "sample"'),
        ("params.toml", "# test_rows = 5000", "test_rows = 1000"),
        ("params.toml", "# train_rows = 2_000_000", "train_rows = 4000"),
    ):
        file = trial.project.folder / name
        assert before in file.read_text()
        file.write_text(file.read_text().replace(before, after))
    trial.server.sql("UPDATE flights SET distance = 9, carrier = 'aa' WHERE flight = 7")

    output = trial.refused()

    assert "column `distance` must satisfy greater_than_or_equal_to(10) (200 rows, such" in output
    assert "column `carrier` must satisfy str_matches('^[A-Z0-9]{2}$') (200 rows, such" in output
    assert trial.files() == {}

    trial.server.sql("UPDATE flights SET distance = 10, carrier = 'BB' WHERE flight = 7")
    output = trial.pull()

    assert "judged 20,000 rows in postgresql://reader@" in output
    assert list(trial.files()) == ["sample.parquet"]
    assert "4,000 rows to train on, 1,000 to test on" in trial.project.run("uv run poe train")
    assert validated(trial.project) == 5000


@pytest.mark.every_commit
def test_a_server_judges_rows_as_they_are_judged_here(server: Server) -> None:
    there = {"RUNG_TEST_POSTGRESQL": server.url(server.user, OWNER), "RUNG_GAME": "velocity"}
    cases = (f"machinery/tests/data/warehouse/test_{n}.py" for n in ("judged_rows", "entity_sql"))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            *(ROOT / case for case in cases),
            "-q",
            "-k",
            "postgresql",
        ],
        env=os.environ | there,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    assert " skipped" not in done.stdout


@pytest.mark.every_commit
def test_the_whole_way_from_warehouse_to_a_version_and_on(
    copier_template: Path, server: Server, tmp_path: Path
) -> None:
    project = start(copier_template, tmp_path / "project", data="warehouse", level=2)
    project.run(f"uv run dvc remote modify local url {tmp_path}/remote")
    project.commit("Keep the data where a clone reaches it")
    server.sql("DROP TABLE IF EXISTS flights", TABLE)
    trial = Trial(project, server)
    load_sample(trial, "scheduled < '2013-05-01'")

    trial.pull("uv run poe data pull")
    train_on(project, "the rows up to May")
    first = trial.files()

    assert len([name for name in first if name.endswith(".parquet")]) == 4
    assert project.is_clean()
    assert validated(project) == trial.there() > 16_000

    load_sample(trial, "scheduled >= '2013-05-01' and scheduled < '2013-05-31'")
    output = trial.pull("uv run poe data pull")
    new = set(trial.files()) - set(first)

    assert new == {"2013-05-01--2013-05-31.parquet"}
    assert {name: trial.files()[name] for name in first} == first
    assert output.count(".parquet") == 1

    train_on(project, "the rows of May")

    assert validated(project) == trial.there()
    assert in_a_clone(trial, tmp_path) == windows_of(trial.files())

    trial.insert("2013-06-01", days=30)
    server.sql("ALTER TABLE flights ALTER distance TYPE double precision")
    output = trial.refused("uv run poe data pull")

    assert "column `distance` has another type: it is Float64" in output
    assert "2013-05-01--2013-05-31.parquet has Int16" in output
    assert project.is_clean()
    assert READER not in texts(project)


def train_on(project: Project, rows: str) -> None:
    project.run("uv run poe incoming")
    project.commit(f"Take {rows}")
    project.run("uv run poe pipeline")
    project.commit(f"Train on {rows}")


def windows_of(files: dict[str, bytes]) -> dict[str, bytes]:
    """Choose what was taken, without what stands beside it."""
    return {name: content for name, content in files.items() if name[0] == "2"}


def in_a_clone(trial: Trial, folder: Path) -> dict[str, bytes]:
    """Pull in a clone, from DVC and then from the warehouse; return the windows it has."""
    git(folder, "clone", "--quiet", str(trial.project.folder), "clone")
    clone = Trial(Project(folder / "clone"), trial.server)
    clone.project.run("uv sync")
    assert "not here: `uv run poe pull`" in clone.project.run("uv run poe data")
    assert "`uv run poe pull` fetches it" in clone.project.fail("uv run poe pipeline")
    clone.project.run("uv run poe pull")
    clone.pull("uv run poe data pull")
    return windows_of(clone.files())


def texts(project: Project) -> str:
    """Read every file of a project, but for those of its environment and of git."""
    return "".join(
        path.read_text(errors="replace")
        for folder, _, names in os.walk(project.folder)
        if not {".venv", ".git"} & set(Path(folder).relative_to(project.folder).parts)
        for path in (Path(folder) / name for name in names)
    )


def load_sample(trial: Trial, where: str) -> None:
    copied = trial.server.folder / "rows.csv"
    trial.project.run(
        '.venv/bin/python -c "import duckdb; duckdb.sql(\\"COPY (SELECT * FROM '
        f"'data/sample/flights.parquet' WHERE {where}) TO '{copied}' (HEADER false)\\\")\""
    )
    trial.server.sql(rf"\copy flights FROM '{copied}' CSV")


def validated(project: Project) -> int:
    """Count the rows that training had, by the files they came from: none of data/sample."""
    record = yaml.safe_load((project.folder / "reports/validation.json").read_text())
    assert all(source.startswith("data/incoming/warehouse/") for source in record["rows"])
    return int(sum(record["rows"].values()))
