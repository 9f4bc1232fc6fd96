"""Tuning and scoring on real Ray clusters: the results of one machine, whatever is lost.

A cluster is a head and two workers, each a set of processes of its own on this machine.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.product import test_own_data as own_data
from tests.product.conftest import environment
from tests.product.processes import end_group
from tests.product.variants import Project, set_values, start

pytestmark = pytest.mark.slow

CLUSTER = ROOT / "tests/assets/ray_cluster.py"
TRAINING = ROOT / "tests/assets/ray_train"
FEATURES = ROOT / "tests/assets/own_data/frameworks/lightgbm/features.py"
ROWS = ROOT / "tests/assets/ray_rows.py"
PATIENT = 600  # seconds for Ray on a machine that does much else
TRIALS = 13  # the last ones look at what came of the first
GROUP = Path("/sys/fs/cgroup")
GIB = 2**30
TIMES = 160  # so often the test rows, each of 600 characters and more: 1.2 GB


@dataclass
class Booster:
    """A library that trains on Ray: its package, settings, and what tests read of its models."""

    package: str
    params: str
    file: str  # of a checkpoint
    rows: str
    trees: str


BOOSTERS = {
    "lightgbm": Booster(
        "lightgbm",
        "num_leaves = 15",
        "model.txt",
        "booster_.trees_to_dataframe()['count'][0]",
        "booster_.num_trees()",
    ),
    "xgboost": Booster(
        "xgboost-cpu",
        "max_depth = 4",
        "model.ubj",
        # trees_to_dataframe() would need pandas.
        "get_booster().get_dump(with_stats=True)[0].partition('cover=')[2].split()[0]",
        "get_booster().num_boosted_rounds()",
    ),
}


@dataclass
class Tuned:
    """A project on Ray with a model, and what one machine without Ray makes of it."""

    project: Project
    tuning: dict[str, Any]

    @property
    def folder(self) -> Path:
        return self.project.folder

    def says(self, *arguments: str | Path, expect: int = 0, **settings: str) -> str:
        process = self.project.begin(*arguments, **settings)
        try:
            output, _ = process.communicate(timeout=PATIENT)
        finally:
            end_group(process)
        assert process.returncode == expect, output
        return output

    def rows(self, times: int) -> Path:
        """Write the test rows so many times over, each time at another moment."""
        file = self.folder / f"many{times}.parquet"
        if not file.exists():
            self.says(ROWS, "data/test.parquet", str(times), file)
        return file

    def search(self) -> dict[str, Any]:
        """Read the last search, but for when it was."""
        found = dict(json.loads((self.folder / "reports/tuning.json").read_text()))
        del found["at"]
        return found

    def scored_plainly(self, rows: Path) -> Path:
        """Score without Ray."""
        file = rows.with_name(f"plain-{rows.name}")
        if not file.exists():
            self.says("-m", "rung_ops", "predict", rows, file)
        return file

    def equal(self, one: Path, other: Path) -> None:
        """Hold two frames against each other, to the last bit."""
        self.says(
            "-c",
            "import sys, polars as pl; from polars.testing import assert_frame_equal as same; "
            "same(*map(pl.read_parquet, sys.argv[1:]), check_exact=True)",
            *(one, other),
        )


@dataclass
class Cluster:
    """A cluster that runs: its address, and a way to lose one of its machines."""

    address: str
    process: subprocess.Popen[str]

    def lose_a_machine(self) -> None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write("kill\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line == "killed\n":
                return
        raise AssertionError("the cluster has ended")

    def add_a_machine(self) -> None:
        assert self.process.stdin
        self.process.stdin.write("add\n")
        self.process.stdin.flush()


@pytest.fixture(scope="module")
def tuned(copier_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    """A trained project, and the search of one machine."""
    folder = tmp_path_factory.mktemp("ray") / "project"
    project = start(copier_template, folder, use_case="velocity", level=2, compute="ray")
    project.run("uv run poe train")
    result = Tuned(project, {})
    result.says("-m", "rung_ops", "tune", "--trials", str(TRIALS), "--together", "4")
    result.tuning = result.search()
    return result


@pytest.fixture
def cluster(tuned: Tuned) -> Iterator[Cluster]:
    with cluster_of(tuned.project) as running:
        yield running


@contextlib.contextmanager
def cluster_of(project: Project) -> Iterator[Cluster]:
    process = project.begin(CLUSTER, stdin=subprocess.PIPE)
    assert process.stdin and process.stdout
    try:
        messages = []
        for line in process.stdout:
            messages.append(line)
            if line.startswith("address "):
                yield Cluster(line.split()[1], process)
                break
        else:
            pytest.skip(f"a Ray cluster cannot be started here: {''.join(messages)[-500:]}")
        process.stdin.close()
        process.wait(60)
    finally:
        end_group(process)


def until(holds: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENT
    while not holds():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def parts(target: Path) -> int:
    """Count the parts that are scored and not in place yet."""
    return len(list(target.parent.glob(f".{target.name}.*.unfinished/part-*.parquet")))


def test_a_machine_lost_while_scoring_changes_nothing(tuned: Tuned, cluster: Cluster) -> None:
    rows, target = tuned.rows(16), tuned.folder / "reports/lost.parquet"
    process = tuned.project.begin(
        *("-m", "rung_ops", "predict", "--backend", "ray", rows, target),
        RAY_ADDRESS=cluster.address,
    )
    try:
        until(lambda: parts(target) >= 2, process)
        cluster.lose_a_machine()
        assert process.poll() is None and not target.exists()
        output, _ = process.communicate(timeout=PATIENT)
    finally:
        end_group(process)

    assert process.returncode == 0, output
    assert f"{16 * 12_501:,} rows scored" in output
    tuned.equal(target, tuned.scored_plainly(rows))


def test_a_machine_lost_while_tuning_changes_nothing(tuned: Tuned, cluster: Cluster) -> None:
    tuning = tuned.folder / "reports/tuning.json"
    tuning.unlink(missing_ok=True)
    options = ("--trials", str(TRIALS))
    process = tuned.project.begin(
        "-m", "rung_ops", "ray", "tune", *options, RAY_ADDRESS=cluster.address
    )
    assert process.stdout
    try:
        messages = []
        for line in process.stdout:
            messages.append(line)
            if line.startswith("trial 4 of"):
                cluster.lose_a_machine()
        process.wait(PATIENT)
    finally:
        end_group(process)

    assert process.returncode == 0, "".join(messages)
    assert tuned.search() == tuned.tuning


@pytest.mark.parametrize("library", BOOSTERS)
def test_training_continues_from_a_checkpoint_and_its_model_is_released(
    library: str, copier_template: Path, tmp_path: Path
) -> None:
    booster = BOOSTERS[library]
    project = start(copier_template, tmp_path / "yields", level=3, compute="ray")
    folder = project.folder
    own_data.bring(project, "yields")
    (package,) = (folder / "src").iterdir()
    shutil.copy(FEATURES, package / "features.py")
    shutil.copy(TRAINING / f"{library}.py", package / "model.py")
    shutil.copy(TRAINING / "train.py", folder / "pipeline/train.py")
    params = folder / "params.toml"
    model = f"[model]\nn_estimators = 40\n{booster.params}\n"
    params.write_text(re.sub(r"\[model\][^[]*", f"{model}\n", params.read_text()))
    project.run(f"uv add {booster.package}")
    # Not interrupted, on this machine. The gate and release judge and write its model.
    project.run("uv run poe pipeline")
    project.commit("Train on Ray")
    project.run("uv run poe keys")
    project.commit("Publish the keys")
    for verb in ("gate", "release"):
        project.run(f"uv run poe {verb}")
    shutil.copy(folder / "model/model.skops", folder / "uninterrupted.skops")

    storage = tmp_path / "storage"
    storage.mkdir()
    settings = folder / "ops/ray.toml"
    settings.write_text(settings.read_text().replace('storage = ""', f'storage = "{storage}"'))
    seen: set[str] = set()

    def has_checkpoints() -> bool:
        """Tell whether Ray knows a checkpoint: it is asked for the third once it knows the first."""
        seen.update(path.parent.name for path in storage.glob(f"*/run/checkpoint_*/{booster.file}"))
        return len(seen) > 2

    with cluster_of(project) as cluster:
        process = project.begin("pipeline/train.py", RAY_ADDRESS=cluster.address)
        try:
            until(has_checkpoints, process)
            cluster.lose_a_machine()
            cluster.add_a_machine()
            output, _ = process.communicate(timeout=PATIENT)
        finally:
            end_group(process)

    assert process.returncode == 0, output
    assert re.search(r"a worker was lost: training continued after round [1-9]", output), output
    assert not any(storage.iterdir())
    same = (
        "import sys, polars as pl, numpy as np; from rung_ops.training.estimator import load, predict; "
        "from pathlib import Path; train, test = map(pl.read_parquet, sys.argv[3:]); "
        "models = [load(Path(name)) for name in sys.argv[1:3]]; "
        "one, other = (predict(model, test) for model in models); "
        "assert np.ptp(one) and np.allclose(one, other, rtol=1e-6), abs(one - other).max(); "
        # The rows of both workers are in a tree's root.
        f"assert [float(m.{booster.rows}) for m in models] == [train.height] * 2; "
        f"assert [m.{booster.trees} for m in models] == [40] * 2"
    )
    files = "model/model.skops uninterrupted.skops data/train.parquet data/test.parquet"
    project.run(f'.venv/bin/python -c "{same}" {files}')


@contextlib.contextmanager
def one_gibibyte() -> Iterator[Path]:
    """Give a control group that may use 1 GiB, its processes' shared memory and caches included."""
    version = 1 if (GROUP / "memory").is_dir() else 2
    directory = (GROUP / "memory" if version == 1 else GROUP) / f"rung-ray-{os.getpid()}"
    limit = "memory.limit_in_bytes" if version == 1 else "memory.max"
    try:
        directory.mkdir()
        (directory / limit).write_text(str(GIB))
    except OSError as error:
        pytest.skip(f"a control group cannot be made here: {error}")
    try:
        yield directory
    finally:
        for _ in range(100):
            with contextlib.suppress(OSError):
                directory.rmdir()
                break
            time.sleep(0.2)


def test_what_is_larger_than_memory_is_scored_within_a_gibibyte(tuned: Tuned) -> None:
    folder = tuned.folder / "large"
    if not folder.exists():
        tuned.says(ROWS, "data/test.parquet", str(TIMES), folder)
    settings = tuned.folder / "ops/ray.toml"
    before = settings.read_text()
    set_values(settings, workers="1")
    target = tuned.folder / "reports/large"
    try:
        with one_gibibyte() as group:
            command = (".venv/bin/python", "-m", "rung_ops", "predict", "--backend", "ray")
            inside = f'echo $$ > {group}/cgroup.procs && exec "$@"'
            done = subprocess.run(
                ["sh", "-c", inside, "sh", *command, folder, target],
                cwd=tuned.folder,
                env=environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=3 * PATIENT,
                check=False,
            )
            events = (
                (group / "memory.oom_control").read_text()
                if (group / "memory.oom_control").exists()
                else (group / "memory.events").read_text()
            )
    finally:
        settings.write_text(before)
        shutil.rmtree(folder, ignore_errors=True)

    assert done.returncode == 0, done.stdout
    assert f"{TIMES * 12_501:,} rows scored" in done.stdout
    assert re.search(r"oom_kill 0\b", events), events
