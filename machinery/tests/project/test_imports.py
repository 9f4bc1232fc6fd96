"""What verbs import before their work begins: packages that they do not need cost everybody seconds."""

import subprocess
import sys

import pytest

from rung_ops.project import current

MODEL, PAGES = {"sklearn", "skops"}, {"matplotlib", "jinja2"}
STORE = {"mlflow", "sqlalchemy", "alembic", "dvc", "optuna"}
SIGNING, EXPORT = {"model_signing", "sigstore"}, {"skl2onnx", "onnxmltools", "onnx"}


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("rung_ops.monitoring.observation", MODEL | STORE | SIGNING | EXPORT | {"pandera"}),
        ("rung_ops.batch.predict", MODEL | STORE | PAGES | SIGNING | EXPORT),
        ("rung_ops.release.production_gate", PAGES | SIGNING | EXPORT | {"dvc", "optuna"}),
        ("rung_ops.release.rollback", MODEL | STORE | PAGES | SIGNING | EXPORT | {"pandera"}),
        (
            "rung_ops.release.report_page",
            MODEL | STORE | {"matplotlib", "pandera", "polars"},
        ),  # rung-ops dvc
    ],
)
def test_a_verb_imports_no_package_that_it_does_not_need(module: str, heavy: set[str]) -> None:
    code = f"import sys, {module}\nprint(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=current().root, capture_output=True, text=True, check=True
    )

    assert done.stdout == "[]\n"


def test_what_a_verb_imports_is_left_out_of_the_search_for_garbage() -> None:
    code = (
        "import gc\nfrom rung_ops.__main__ import main\nfrom rung_ops.system import processes\n"
        "main(['gate', '--help'])\nkept = gc.get_freeze_count()\n"
        "with processes.importing():\n    more = [[] for _ in range(1000)]\n"
        "print(gc.isenabled(), kept > 100_000, gc.get_freeze_count() <= kept)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=current().root, capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1] == "True True True"
