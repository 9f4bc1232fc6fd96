"""The benchmark of the service runs: a project is made, and two services are asked and compared."""

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.product.conftest import run, tool

pytestmark = pytest.mark.slow

NUMBER = r"[\d,.]+"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.md"
    path.write_text("# Benchmarks\n\n<!-- serve -->\nold\n<!-- /serve -->\n\nNext.\n")
    return path


def test_a_quick_run_writes_its_tables(page: Path) -> None:
    tool("wrk")
    command = ["uv", "run", "--quiet", "--with", "polars", "python", "benchmarks/serve.py"]

    run(*command, "--quick", "--write", page, cwd=ROOT)

    text = page.read_text()
    assert "\nold\n" not in text
    assert text.startswith("# Benchmarks\n\n<!-- serve -->\n")
    assert text.endswith("<!-- /serve -->\n\nNext.\n")
    for service in ("Rung", "FastAPI, ONNX Runtime"):
        assert re.search(
            rf"^\|{service}(\|{NUMBER}){{9}}\|{NUMBER} / {NUMBER}\|$", text, re.MULTILINE
        )
    for form in ("JSON", "columnar JSON"):
        assert re.search(rf"^\|Rung\|{form}(\|{NUMBER}){{6}}\|$", text, re.MULTILINE)
    held = rf"^\|FastAPI, ONNX Runtime: one row, 16 connections\|at least 3 x\|{NUMBER} x\|"
    assert re.search(held, text, re.MULTILINE)
