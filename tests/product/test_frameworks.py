"""Models of LightGBM in parts, XGBoost, CatBoost and PyTorch go up all rungs, with the files that docs/frameworks.md shows."""

import os
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.product import test_own_data as own_data
from tests.product.variants import Project

FRAMEWORKS = own_data.OWN_DATA / "frameworks"
PACKAGES = {
    "lightgbm": "lightgbm",
    "xgboost": "xgboost-cpu",
    "catboost": "catboost",
    "pytorch": "torch onnx onnxruntime",
}


def small_pytorch() -> str:
    """Find a folder with a PyTorch for processors: PyPI has it with three gigabytes for GPUs."""
    for folder in os.environ.get("PIP_FIND_LINKS", "").split():
        if any(Path(folder).glob("torch-*+cpu-*.whl")):
            return folder
    pytest.skip("PIP_FIND_LINKS names no folder with a wheel of PyTorch for processors")


def put(project: Project, framework: str) -> None:
    """Put a model of the framework in place of scikit-learn's, with its values of [model]."""
    (package,) = (project.folder / "src").iterdir()
    for path in (FRAMEWORKS / framework).glob("*.py"):
        folder = project.folder / "pipeline" if path.name == "train.py" else package
        (folder / path.name).write_text(path.read_text("utf-8"), "utf-8")
    values = (FRAMEWORKS / framework / "model.toml").read_text("utf-8")
    params = project.folder / "params.toml"
    text, times = re.subn(r"\[model\][^[]*", values + "\n", params.read_text("utf-8"))
    assert times == 1
    params.write_text(text, "utf-8")
    project.run(f"uv add {PACKAGES[framework]}")


@pytest.mark.slow
@pytest.mark.parametrize("framework", PACKAGES)
def test_a_model_of_another_framework_goes_up_all_rungs(
    copier_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, framework: str
) -> None:
    if framework == "pytorch":
        monkeypatch.setenv("UV_FIND_LINKS", small_pytorch())
    project = own_data.start(copier_template, tmp_path / f"yields-{framework}")
    own_data.bring(project, "yields")
    put(project, framework)

    own_data.goes_up(project, copier_template)


@pytest.mark.parametrize("path", sorted(FRAMEWORKS.rglob("*.*")), ids=lambda path: path.name)
def test_the_page_shows_the_file_or_links_to_it(path: Path) -> None:
    page = (ROOT / "docs/frameworks.md").read_text("utf-8")
    link = f"(https://github.com/rung-ml/rung/blob/main/{path.relative_to(ROOT).as_posix()})"

    assert path.read_text("utf-8").strip() in page or link in page, (
        f"{path} is not in docs/frameworks.md"
    )
