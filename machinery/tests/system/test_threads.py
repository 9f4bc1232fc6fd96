"""Threads of a model that wait for one another leave the cores to other work."""

import os
import subprocess
import sys

import pytest

LOAD = "import rung_ops, sklearn.ensemble"


def spins(**own: str) -> int:
    """Let OpenMP say how often a waiting thread looks, once scikit-learn has loaded it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    environment = kept | {"OMP_DISPLAY_ENV": "verbose"} | own
    run = [sys.executable, "-c", LOAD]
    output = subprocess.run(run, env=environment, capture_output=True, text=True, check=True).stderr
    if "GOMP_SPINCOUNT" not in output:
        pytest.skip("the OpenMP of this machine is not GNU's")
    return int(output.split("GOMP_SPINCOUNT = '")[1].split("'")[0])


def test_waiting_threads_do_not_spin() -> None:
    assert spins() == 0


def test_what_a_person_sets_stays() -> None:
    assert spins(OMP_WAIT_POLICY="active") > 0
