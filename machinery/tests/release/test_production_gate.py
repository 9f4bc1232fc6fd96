"""The gate of production compares with the release that production serves."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from machinery.tests.conftest import Trained
from machinery.tests.projects import moved
from machinery.tests.release.conftest import FIRST
from rung_ops.gate import registry_gate
from rung_ops.gate.judge import Champion
from rung_ops.gate.rules import Rules
from rung_ops.gate.verdict import Verdict
from rung_ops.model import bundle
from rung_ops.project import paths
from rung_ops.release import production_gate, state


def test_the_champion_says_until_when_it_was_trained(
    releases: Path, production: Path, trained: Trained
) -> None:
    shutil.copytree(releases / "candidates" / FIRST, paths.bundle(production, FIRST))
    state.serve(production, FIRST, "Ada")

    champion = production_gate.champion(trained.test.lazy())

    assert champion is not None
    manifest = bundle.read_manifest(releases / "candidates" / FIRST)
    assert champion.trained_until == manifest["trained_until"]


def test_a_version_that_is_the_champion_equals_itself(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where its release was fitted again on the very test rows."""
    for name in ("train", "test"):
        getattr(trained, name).write_parquet(tmp_path / f"{name}.parquet")
    moved(monkeypatch, train=tmp_path / "train.parquet", test=tmp_path / "test.parquet")
    own = {"version": "1", "run_id": "of version 1", "data_hash": "a"}
    monkeypatch.setattr(registry_gate, "_version", lambda wanted: SimpleNamespace())
    monkeypatch.setattr(registry_gate.versions, "origin_of", lambda version: own)
    monkeypatch.setattr(registry_gate, "mismatches", lambda version: iter(()))
    seen: list[Champion] = []

    def judge(
        rows: pl.DataFrame, challenger: np.ndarray, champion: Champion, *rest: object
    ) -> Verdict:
        seen.append(champion)
        return Verdict(True, [], {})

    monkeypatch.setattr(registry_gate, "judge", judge)
    monkeypatch.setattr(registry_gate.versions, "predictions", lambda *_: np.zeros(3))
    again = Champion(own, np.ones(3), [], "2026-01-01")

    verdict = registry_gate.compare(lambda rows: again, rules=Rules())

    assert seen[0].trained_until is None and (seen[0].predictions == 0).all()
    assert verdict.notes == []
