"""A project takes its raw data from an object store, whatever happens on the way.

The stores are SeaweedFS and moto's server. What a store may answer, and a line that is cut, is tried
with a small store in machinery/tests/data/object_store.
"""

import re
import shutil
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.command import git
from tests.product.conftest import run
from tests.product.stores import BUCKET, KEYS, Store, moto, seaweed, tools
from tests.product.variants import Project, set_values, start

pytestmark = pytest.mark.slow

PULL = "uv run poe data pull"
# A year of the sample, a year later, in three files; the last one as text.
FLIGHTS = """
import polars as pl
rows = pl.read_parquet("data/sample/flights.parquet")
rows = rows.with_columns(pl.col("scheduled").dt.offset_by("1y"))
month = pl.col("scheduled").dt.month()
rows.filter(month == 1).write_parquet("{0}/january.parquet")
rows.filter(month == 2).write_parquet("{0}/february.parquet")
rows.filter(month == 3).write_csv("{0}/march.csv")
"""
# Of a process of its own: what it ever held at once, in kB, is printed last.
PEAK = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    if sys.argv[0] == "-m":
        from rung_ops.__main__ import main
        sys.exit(main(sys.argv[2:]))
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as end:
    assert not end.code, end.code
status = open("/proc/self/status").read()
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


@pytest.fixture(scope="module")
def store_tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tools(tmp_path_factory.mktemp("store") / "tools")


@pytest.fixture(scope="module")
def real(store_tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """SeaweedFS with a bucket, for all tests that do not stop it."""
    with seaweed(store_tools, tmp_path_factory.mktemp("seaweed") / "data") as store:
        yield store


@pytest.fixture(scope="module")
def made(copier_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("project") / "project"
    return start(copier_template, folder, data="store", store_bucket=BUCKET, level=0)


@pytest.fixture
def project(made: Project) -> Project:
    """The project as it was made: nothing fetched, nothing changed."""
    git(made.folder, "reset", "--hard", "--quiet")
    git(made.folder, "clean", "-dffxq", "--exclude=.venv")
    return made


@pytest.fixture
def raw(made: Project, tmp_path: Path) -> Path:
    """A folder with three raw files of flights."""
    folder = tmp_path / "raw"
    folder.mkdir()
    run(made.folder / ".venv/bin/python", "-c", FLIGHTS.format(folder), cwd=made.folder)
    return folder


def settings(project: Project, **values: str) -> None:
    set_values(project.folder / "ops/store.toml", **values)


def reach(project: Project, endpoint: str, prefix: str, **more: str) -> None:
    settings(project, endpoint=f'"{endpoint}"', prefix=f'"{prefix}"', **more)


def typed(
    project: Project, command: str, expect: int | None = 0, keys: dict[str, str] = KEYS
) -> str:
    return run("bash", "-c", command, cwd=project.folder, expect=expect, **keys).stdout


def fetched(project: Project) -> dict[str, str]:
    folder = project.folder / "data/incoming"
    return {
        path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".") and path.suffix not in (".md", ".dvc")
    }


def contents(folder: Path) -> dict[str, str]:
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.mark.every_commit
@pytest.mark.parametrize("server", [seaweed, moto], ids=lambda server: str(server.__name__))
def test_what_is_in_the_store_is_listed_and_what_is_new_is_fetched(
    project: Project, store_tools: Path, raw: Path, tmp_path: Path, server: Callable[..., Any]
) -> None:
    with server(store_tools, tmp_path / "data") as store:
        for path in raw.iterdir():
            store.put(f"some where/raw/{path.name}", path)
        store.put("some where/other.csv", raw / "march.csv")
        reach(project, store.endpoint, "some where/raw")

        listed = typed(project, "uv run poe data")
        assert "3 objects" in listed and "3 to fetch" in listed
        assert len(re.findall(r"not here +\w+\.(?:parquet|csv)$", listed, re.MULTILINE)) == 3
        assert fetched(project) == {}

        assert "3 fetched" in typed(project, PULL)
        assert contents(raw) == fetched(project)
        assert "0 fetched, 3 were here" in typed(project, PULL)
        assert "nothing to fetch" in typed(project, "uv run poe data")

        (raw / "march.csv").write_text("".join((raw / "march.csv").open().readlines()[:100]))
        store.put("some where/raw/march.csv", raw / "march.csv")
        assert re.search(r"changed +march\.csv", typed(project, "uv run poe data"))
        assert "1 fetched, 2 were here" in typed(project, PULL)
        assert contents(raw) == fetched(project)

    # Nothing of the data is committed by mistake, and the library reads it.
    project.commit("Everything")
    tracked = git(project.folder, "ls-files", "data/incoming", "store.lock").split()
    assert tracked == ["data/incoming/.gitignore", "store.lock"]
    assert "data/incoming/march.csv: 99 rows" in typed(project, "uv run poe validate")


def peak(project: Project, *program: str) -> int:
    python = project.folder / ".venv/bin/python"
    output = run(python, "-c", PEAK, *program, cwd=project.folder, expect=0, **KEYS).stdout
    return int(output.split()[-1]) // 1024


HUGE = """
import numpy as np, polars as pl
draw, rows = np.random.default_rng(1), 30_000_000
table = pl.DataFrame({{
    "id": np.arange(rows),
    "share": draw.random(rows),
    "other": draw.random(rows),
    "group": np.arange(rows) % 1000,
}})
print(table.estimated_size("mb"))
table.write_parquet("{}", row_group_size=250_000)
"""
LAZY = '''
def load(path: Path) -> pl.LazyFrame:
    """Read a raw file as a stream."""
    return pl.scan_parquet(path)
'''


def test_what_is_larger_than_the_memory_it_may_take_passes_as_a_stream(
    project: Project, real: Store, tmp_path: Path
) -> None:
    huge = tmp_path / "huge.parquet"
    python = project.folder / ".venv/bin/python"
    complete = float(run(python, "-c", HUGE.format(huge), cwd=project.folder).stdout)
    size = huge.stat().st_size / 1e6
    assert complete > 800 and size > 400, "too small to prove anything"
    real.put("huge/huge.parquet", huge)
    reach(project, real.endpoint, "huge")

    as_it_is = peak(project, "-m", "rung_ops", "object-store", "pull")
    arrived = project.folder / "data/incoming/huge.parquet"
    assert arrived.stat().st_size == huge.stat().st_size

    with (project.folder / "src/late_flights/dataset.py").open("a") as dataset:
        dataset.write(LAZY)
    shutil.rmtree(project.folder / "data/sample")
    (project.folder / "data/sample").mkdir()
    ingested = peak(project, "pipeline/ingest.py")

    arrived.unlink()
    settings(project, columns='["id", "share"]', rows='"\\"group\\" < 500"')
    part = peak(project, "-m", "rung_ops", "object-store", "pull")
    count = f"import polars as pl; print(pl.scan_parquet('{arrived}').collect().shape)"
    assert "(15000000, 2)" in run(python, "-c", count, cwd=project.folder).stdout

    print(
        f"{size:.0f} MB in the store, {complete:.0f} MB as a frame; at most {as_it_is} MB to fetch,"
    )
    print(f"{ingested} MB to ingest, {part} MB to take a part")
    assert as_it_is < 150
    assert ingested < 600
    assert part < 600


def test_from_rung_2_on_dvc_keeps_the_versions_in_the_bucket(
    copier_template: Path, tmp_path: Path, real: Store, raw: Path
) -> None:
    project = start(
        copier_template,
        tmp_path / "project",
        data="store",
        store_endpoint=real.endpoint,
        store_bucket=BUCKET,
        store_prefix="team/flights",
        level=2,
    )
    for path in raw.iterdir():
        real.put(f"team/flights/raw/2014/{path.name}", path)
    write_keys(project)

    project.run(PULL)
    project.run("uv run poe pipeline")

    assert len(real.sizes("team/flights/dvc/")) == 3
    project.commit("Fetch the flights of 2014")
    tracked = git(project.folder, "ls-files").splitlines()
    assert [path for path in tracked if path.startswith("data/incoming/2014/")] == [
        "data/incoming/2014/.gitignore",
        "data/incoming/2014/february.parquet.dvc",
        "data/incoming/2014/january.parquet.dvc",
        "data/incoming/2014/march.csv.dvc",
    ]
    assert ".env" not in tracked
    project.run(PULL)
    assert project.is_clean()

    clone = Project(tmp_path / "clone")
    git(tmp_path, "clone", "--quiet", str(project.folder), str(clone.folder))
    fetch_by_way_of_dvc(clone)
    assert {f"2014/{name}": digest for name, digest in contents(raw).items()} == fetched(clone)
    # What came by way of DVC is what the store has.
    assert "nothing to fetch" in clone.run("uv run poe data")

    (raw / "march.csv").write_text("".join((raw / "march.csv").open().readlines()[:100]))
    real.put("team/flights/raw/2014/april.csv", raw / "march.csv")
    push_april_with_a_wrong_key_first(clone)
    assert len(real.sizes("team/flights/dvc/")) == 4


WRONG_KEYS = KEYS | {"AWS_SECRET_ACCESS_KEY": "wrong"}


def write_keys(project: Project) -> None:
    lines = "".join(f"{name}={value}\n" for name, value in KEYS.items())
    (project.folder / ".env").write_text(lines)


def fetch_by_way_of_dvc(clone: Project) -> None:
    """Pull what DVC keeps; with a wrong key it is said what does not do."""
    clone.run("uv sync")
    output = typed(clone, "uv run poe pull", expect=None, keys=WRONG_KEYS)
    assert "Not all files could be fetched." in output
    assert "does not belong to the access key" in output and "team/flights/dvc" in output
    write_keys(clone)
    clone.run("uv run poe pull")


def push_april_with_a_wrong_key_first(clone: Project) -> None:
    """Take April alone; a push that cannot be made is told of, and made later."""
    (clone.folder / "data/incoming/2014/march.csv").unlink()
    (clone.folder / "data/incoming/2014/march.csv.dvc").unlink()
    settings(clone, files='["*april*"]')
    clone.run(PULL)
    (clone.folder / ".env").unlink()
    output = typed(clone, "uv run poe incoming", keys=WRONG_KEYS)
    assert "did not reach the remote" in output and "does not belong to the access key" in output
    typed(clone, "uv run dvc push")
