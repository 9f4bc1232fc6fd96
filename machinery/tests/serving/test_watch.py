"""The service follows its environment, and nothing bad takes the place of what is good."""

import asyncio
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from machinery.tests.conftest import LogCapture, Patch
from machinery.tests.serving.calls import PATIENCE
from machinery.tests.serving.conftest import Environment
from rung_ops.model import bundle
from rung_ops.model import released as releases
from rung_ops.project import current
from rung_ops.project.service_settings import Limits
from rung_ops.release import history, state
from rung_ops.release.rollout import Policy, read_policy
from rung_ops.serving.metrics import Metrics
from rung_ops.serving.rollout import Rollout
from rung_ops.serving.service import Service
from rung_ops.serving.state_reader import StateReader
from rung_ops.serving.watch import Watch


class Watched:
    """A service that is kept in step by looks of the test's own."""

    def __init__(
        self, folder: Path, runner: asyncio.Runner, limits: Limits, policy: Policy | None = None
    ) -> None:
        self.folder = folder
        self.runner = runner
        self.rollout = Rollout(self.folder, policy)
        self.service = Service("production", limits, Metrics(), self.rollout)
        self.watch = Watch(self.service, StateReader(self.folder))

    def poll(self, times: int = 1) -> None:
        """Look; then wait until what began to load is loaded, and look again."""

        async def until_settled() -> None:
            for _ in range(times):
                await self.watch.poll()
                while self.watch._loader._loading:
                    await asyncio.sleep(0.005)
                    await self.watch.poll()

        self.runner.run(until_settled())

    def run_until(self, holds: Callable[[], bool]) -> None:
        """Follow the environment as a service does, until something holds."""

        async def run() -> None:
            running = asyncio.create_task(self.watch.run())
            while not holds():
                await asyncio.sleep(0.01)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

        self.runner.run(asyncio.wait_for(run(), PATIENCE))

    def serve(self, name: str, times: int = 1) -> None:
        """Deploy a release, and look."""
        state.serve(self.folder, name, "Ada")
        self.poll(times)

    @property
    def serving(self) -> str | None:
        """Name the release that answers."""
        serving = self.service.held.serving
        return serving.release.id if serving is not None else None

    @property
    def problems(self) -> str:
        """Repeat what is wrong."""
        return " ".join(self.service.held.problems)

    def swaps(self, outcome: str) -> float:
        """Count changes of release."""
        text = self.service.metrics.exposition().decode()
        (line,) = [
            each for each in text.splitlines() if f'swaps_total{{outcome="{outcome}"' in each
        ]
        return float(line.split()[-1])


@pytest.fixture
def watched(production: Environment) -> Iterator[Watched]:
    with asyncio.Runner() as runner:
        made = Watched(production.folder, runner, Limits())
        yield made
        made.service.close()


def test_the_way_back_needs_no_disk(watched: Watched, production: Environment) -> None:
    watched.serve("v1")
    production.add("v2")
    watched.serve("v2")
    shutil.rmtree(watched.folder / "bundles/v1")
    state.roll_back(watched.folder, "Ada")

    watched.runner.run(watched.watch.poll())
    assert (watched.serving, watched.problems) == ("v1", "")


def corrupt(path: Path) -> None:
    (model,) = [
        path / name
        for name in (bundle.ONNX, bundle.LIGHTGBM, bundle.SKOPS)
        if (path / name).exists()
    ]
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 0xFF
    model.write_bytes(bytes(content))


def unsigned(path: Path) -> None:
    (path / bundle.SIGNATURE).unlink()


def no_contract(path: Path) -> None:
    (path / bundle.CONTRACT).write_text('{"columns": [{}], "features": []}', encoding="utf-8")


def fewer_features(path: Path) -> None:
    contract = json.loads((path / bundle.CONTRACT).read_text(encoding="utf-8"))
    contract["features"].pop()
    (path / bundle.CONTRACT).write_text(json.dumps(contract), encoding="utf-8")


def other_answers(path: Path) -> None:
    rows = pl.read_parquet(path / bundle.PARITY)
    rows.with_columns(pl.col("prediction") + 100.0).write_parquet(path / bundle.PARITY)


def no_rows(path: Path) -> None:
    pl.read_parquet(path / bundle.PARITY).head(0).write_parquet(path / bundle.PARITY)


def no_source(path: Path) -> None:
    (features,) = (path / bundle.SOURCE).glob("*/features.py")
    features.write_text("import a_package_that_nobody_has\n", encoding="utf-8")


def another_format(path: Path) -> None:
    manifest = bundle.read_manifest(path) | {"format": "pickle"}
    (path / bundle.MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def pipe(path: Path) -> None:
    (path / bundle.CONTRACT).unlink()
    os.mkfifo(path / bundle.CONTRACT)


BAD: list[tuple[Any, Any, str]] = [
    (None, corrupt, "was changed after it was signed"),
    (None, unsigned, "is not signed"),
    (None, shutil.rmtree, "is not a folder"),
    (None, pipe, "is a link or not a regular file"),
    (no_contract, None, "is not a valid contract"),
    (fewer_features, None, "and the contract says"),
    (other_answers, None, "differ by 100"),
    (no_rows, None, "holds no rows"),
    (no_source, None, "cannot be imported"),
    (another_format, None, "format is 'pickle'"),
]


@pytest.mark.parametrize(("before", "after", "reason"), BAD, ids=[each[2] for each in BAD])
def test_a_bad_release_is_kept_out_and_reported(
    watched: Watched, production: Environment, before: Any, after: Any, reason: str
) -> None:
    watched.serve("v1")
    production.add("v2", before or (lambda path: None), after or (lambda path: None))
    watched.serve("v2", 3)

    assert watched.serving == "v1"
    assert watched.service.ready
    assert reason in watched.problems
    assert watched.problems.endswith("v1 is served instead.")
    assert (watched.swaps("loaded"), watched.swaps("refused")) == (1, 1)


@pytest.mark.parametrize(
    ("predictions", "seconds", "reason"),
    [
        ([np.nan], 0.0, "are not numbers"),
        (None, 0.1, "max_row_ms under [service] in service.toml is 50"),
    ],
)
def test_a_release_that_answers_nothing_or_slowly_is_kept_out(
    watched: Watched,
    production: Environment,
    monkeypatch: Patch,
    predictions: list[float] | None,
    seconds: float,
    reason: str,
) -> None:
    watched.serve("v1")
    load = releases.predictor_of

    def spoilt(folder: Path, manifest: dict[str, Any]) -> Any:
        good = load(folder, manifest)

        def predict(features: pl.DataFrame) -> np.ndarray:
            time.sleep(seconds)
            return (
                good(features) if predictions is None else np.repeat(predictions, features.height)
            )

        return predict

    monkeypatch.setattr(releases, "predictor_of", spoilt)
    production.add("v2")
    watched.serve("v2")

    assert watched.serving == "v1"
    assert reason in watched.problems


def test_what_takes_too_long_to_load_is_given_up(
    watched: Watched, production: Environment, monkeypatch: Patch
) -> None:
    load, may_go_on = releases.predictor_of, threading.Event()

    def slowly(folder: Path, manifest: dict[str, Any]) -> Any:
        may_go_on.wait(PATIENCE)
        return load(folder, manifest)

    watched.serve("v1")
    monkeypatch.setattr(Limits, "max_load_seconds", 0.01)
    monkeypatch.setattr(releases, "predictor_of", slowly)
    production.add("v2")
    watched.serve("v2")
    may_go_on.set()
    for thread in threading.enumerate():
        if thread.name == "load":
            thread.join(PATIENCE)
    watched.poll()

    assert watched.serving == "v1"
    assert "v2 was not loaded within 0.01 s, which is max_load_seconds" in watched.problems


def test_a_repaired_release_answers(watched: Watched, production: Environment) -> None:
    state.serve(watched.folder, "v1", "Ada")
    production.add("v2", after=unsigned)
    watched.serve("v2")
    assert watched.serving == "v1"

    production.add("v2")
    watched.poll()
    assert (watched.serving, watched.problems) == ("v2", "")


def test_at_a_cold_start_the_last_good_release_answers(
    watched: Watched, production: Environment
) -> None:
    production.add("v2", after=corrupt)
    production.add("v3", after=unsigned)
    for name in ("v1", "v2", "v3"):
        state.serve(watched.folder, name, "Ada")
    watched.poll(3)

    assert watched.serving == "v1"
    assert watched.service.ready
    assert "v3 is not signed" in watched.problems
    assert watched.swaps("refused") == 2


def test_with_a_damaged_state_the_same_release_answers_and_the_service_is_not_ready(
    watched: Watched, production: Environment
) -> None:
    watched.serve("v1")
    complete = (watched.folder / state.STATE).read_bytes()
    for damaged in (b"", complete[:40], b"[]", b"\xff"):
        (watched.folder / state.STATE).write_bytes(damaged)
        watched.poll()

        assert watched.serving == "v1"
        assert not watched.service.ready
        assert "state.json is damaged" in watched.problems
    (watched.folder / state.STATE).unlink()
    watched.poll()
    assert watched.serving == "v1"
    assert watched.service.ready  # the way out: it is taken away, then the release is deployed
    assert "state.json is missing" in watched.problems

    (watched.folder / state.STATE).write_bytes(complete)
    production.add("v2")
    watched.serve("v2")
    assert (watched.serving, watched.problems) == ("v2", "")


@pytest.mark.parametrize("damaged", [b"{", None])
def test_at_a_cold_start_the_history_replaces_a_damaged_state(
    watched: Watched, production: Environment, damaged: bytes | None
) -> None:
    production.add("v2")
    state.serve(watched.folder, "v1", "Ada")
    state.serve(watched.folder, "v2", "Ada")
    state.roll_back(watched.folder, "Ada")
    (watched.folder / state.STATE).unlink()
    if damaged is not None:
        (watched.folder / state.STATE).write_bytes(damaged)
    watched.poll()

    assert watched.serving == "v1"
    assert watched.service.answering().release.id == "v1"
    assert watched.service.ready is (damaged is None)


@pytest.mark.parametrize("named", ["../v9", 7, ["v1"], None])
def test_at_a_cold_start_an_invalid_id_of_the_history_is_skipped(
    watched: Watched, named: object
) -> None:
    state.serve(watched.folder, "v1", "Ada")
    state.note(watched.folder, "looked", "Eve", serving=named)
    (watched.folder / state.STATE).unlink()
    watched.poll()

    assert watched.serving == "v1"


@pytest.mark.parametrize("name", [state.STATE, state.HISTORY])
def test_a_pipe_is_not_waited_for_and_makes_the_service_not_ready(
    watched: Watched, name: str
) -> None:
    watched.serve("v1")
    path = watched.folder / name
    complete = path.read_bytes()
    path.unlink()
    os.mkfifo(path)
    watched.poll()

    assert watched.serving == "v1"
    assert not watched.service.ready
    assert name in watched.problems

    path.unlink()
    path.write_bytes(complete)
    watched.poll()
    assert (watched.service.ready, watched.problems) == (True, "")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda e: [e[0].replace(b"Ada", b"Eve"), *e[1:]], "line 1 (serve) was changed"),
        (lambda e: [e[0], *e[2:]], "line 2 (resume) does not follow the previous line"),
        (lambda e: e[:-3], "its last change differs from that of state.json"),
        (lambda e: [*e, b"{}\n"], "line 5 is not an event"),
        (lambda e: [], "its last change differs from that of state.json"),
    ],
)
def test_a_history_that_was_changed_makes_the_service_not_ready(
    watched: Watched, change: Callable[[list[bytes]], list[bytes]], reason: str
) -> None:
    watched.serve("v1")
    state.stop(watched.folder, "Ada", "a drill")
    state.resume(watched.folder, "Ada")
    state.note(watched.folder, "looked", "Ada")
    watched.poll()
    assert watched.service.ready
    path = watched.folder / state.HISTORY
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
    watched.poll()

    assert watched.serving == "v1"
    assert not watched.service.ready
    assert reason in watched.problems

    # The way out that is advised.
    for name in (state.STATE, state.HISTORY):
        (watched.folder / name).rename(watched.folder / f"{name}.kept")
    watched.serve("v1")
    assert (watched.service.ready, watched.problems) == (True, "")


def test_a_line_that_a_killed_process_did_not_finish_is_not_a_fault(watched: Watched) -> None:
    state.serve(watched.folder, "v1", "Ada")
    state.stop(watched.folder, "Ada", "a drill")
    state.resume(watched.folder, "Ada")
    path = watched.folder / state.HISTORY
    path.write_bytes(path.read_bytes()[:-40])
    watched.poll()
    assert (watched.service.ready, watched.problems) == (True, "")

    state.note(watched.folder, "looked", "Ada")
    watched.poll()
    assert (watched.service.ready, watched.problems) == (True, "")


def test_at_a_cold_start_with_a_damaged_state_a_stop_still_holds(watched: Watched) -> None:
    state.serve(watched.folder, "v1", "Ada")
    state.stop(watched.folder, "Ada", "it refuses everybody")
    (watched.folder / state.STATE).write_bytes(b"{")
    watched.poll()

    assert watched.service.stopped is not None
    assert watched.service.stopped.reason == "it refuses everybody"
    assert not watched.service.ready


def test_a_stop_during_a_look_is_not_undone(watched: Watched, monkeypatch: Patch) -> None:
    watched.serve("v1")
    state.stop(watched.folder, "Ada", "first")
    watched.poll()
    state.resume(watched.folder, "Ada")
    made = watched.watch._held_releases

    def stopped_meanwhile(*reading: Any) -> Any:
        monkeypatch.setattr(watched.watch, "_held_releases", made)
        state.stop(watched.folder, "Ada", "second")
        return made(*reading)

    monkeypatch.setattr(watched.watch, "_held_releases", stopped_meanwhile)

    watched.runner.run(watched.watch.poll())
    assert not watched.service.ready
    watched.poll()
    assert watched.service.stopped is not None and watched.service.stopped.reason == "second"


def test_canary_and_shadow_are_loaded_beside_the_serving_release(
    watched: Watched, production: Environment
) -> None:
    for name in ("v2", "v3"):
        production.add(name)
    state.serve(watched.folder, "v1", "Ada")
    state.shadow(watched.folder, "v3", 0.5, "Ada")
    state.canary(watched.folder, "v2", "Ada")
    watched.poll()
    held = watched.service.held

    assert watched.serving == "v1"
    assert held.canary is not None and held.canary.release.id == "v2"
    assert held.canary.arm == "canary"
    assert held.shadow is not None and held.shadow.release.id == "v3"

    state.promote(watched.folder, "Ada")
    watched.poll()
    now = watched.service.held
    assert (watched.serving, now.canary) == ("v2", None)
    assert now.shadow is not None and now.shadow.release is held.shadow.release
    assert now.shadow is not held.shadow  # what it said beside v1 says nothing of it beside v2
    assert now.serving is not None and now.serving.arm == "serving"
    assert now.serving.release is held.canary.release


def test_it_continues_after_any_failure(
    watched: Watched, monkeypatch: Patch, caplog: LogCapture
) -> None:
    state.serve(watched.folder, "v1", "Ada")
    inspected: list[int] = []
    poll = watched.watch.poll

    async def sometimes() -> None:
        inspected.append(1)
        if len(inspected) < 3:
            raise OSError("the disk is gone")
        await poll()

    monkeypatch.setattr(watched.watch, "poll", sometimes)
    monkeypatch.setattr(Limits, "poll_seconds", 0.01)

    watched.run_until(lambda: watched.service.ready)
    assert watched.serving == "v1"
    assert "the disk is gone" in caplog.text


def test_a_release_on_trial_that_cannot_be_loaded_answers_nobody_and_is_sent_back(
    production: Environment,
) -> None:
    production.add("v2", after=unsigned)
    policy = read_policy(current().root / "ops/rollout.toml")
    with asyncio.Runner() as runner:
        watched = Watched(production.folder, runner, Limits(), policy)
        watched.rollout.pause = 0.001
        state.serve(watched.folder, "v1", "Ada")
        state.canary(watched.folder, "v2", "Ada")
        watched.poll()
        assert watched.serving == "v1"
        assert {watched.service.arm(str(key)) for key in range(50)} == {None}
        assert "v2 is not signed" in watched.problems

        watched.run_until(lambda: state.read(watched.folder).canary is None)
        watched.service.close()

    assert history.read(watched.folder / state.HISTORY)[-1]["detail"]["reason"] == (
        "it cannot be loaded: v2 is not signed: model.sig is missing. "
        "`uv run poe release` writes signed releases."
    )


def test_nothing_is_judged_before_the_state_is_read(watched: Watched, monkeypatch: Patch) -> None:
    """A first step without it would remove what was seen before the service started again."""
    evidence = watched.folder / "evidence/of a canary"
    evidence.mkdir(parents=True)
    polls: list[int] = []

    async def slow() -> None:
        polls.append(1)
        raise OSError("not mounted yet")

    monkeypatch.setattr(watched.watch, "poll", slow)
    monkeypatch.setattr(Limits, "poll_seconds", 0.05)
    watched.rollout.pause = 0.001

    watched.run_until(lambda: len(polls) >= 4)
    assert evidence.exists()
