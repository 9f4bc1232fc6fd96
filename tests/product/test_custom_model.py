"""A model of plain NumPy, with save() and load() in model.py, goes from training to an answer."""

import json
import re
from pathlib import Path

import pytest

from tests.product.serving import free_port
from tests.product.variants import ask, in_production, serving, start

pytestmark = pytest.mark.slow

UNIT_TEST = Path(__file__).parents[2] / "machinery/tests/release/test_custom_model.py"


def hand_written() -> str:
    """Read the logistic regression of the library's own test, so that there is one of it."""
    match = re.search(r"HAND_WRITTEN = '''(.*?)'''", UNIT_TEST.read_text(), flags=re.DOTALL)
    assert match is not None
    return match[1]


def test_a_model_in_a_custom_format_is_trained_released_and_served(
    copier_template: Path, tmp_path: Path
) -> None:
    project = start(copier_template, tmp_path / "project", use_case="velocity", level=3)
    model = next((project.folder / "src").glob("*/model.py"))
    model.write_text(model.read_text() + hand_written())
    project.commit("Write a model by hand")

    for verb in ("pipeline", "keys", "gate", "release", "deploy staging", "deploy production"):
        output = project.run(f"uv run poe {verb}")
        assert verb != "release" or "custom: used" in output

    bundle = in_production(project.folder / "releases")
    assert json.loads((bundle / "manifest.json").read_text())["format"] == "custom"
    example = json.loads((bundle / "contract.json").read_text())["example"]
    with serving(project, free_port()) as address:
        answer = ask(address, example)
    assert 0 < answer["prediction"] < 1
    assert answer["release"] == bundle.name
