"""What verbs import before their work begins: packages that they do not need cost everybody seconds."""

import pytest

from machinery.tests.in_project import imported, printed

MODEL, PAGES = {"sklearn", "skops"}, {"matplotlib", "jinja2"}
STORE = {"mlflow", "sqlalchemy", "alembic", "dvc", "optuna"}
SIGNING, EXPORT = {"model_signing", "sigstore"}, {"skl2onnx", "onnxmltools", "onnx"}
NOT_SERVED = (
    "mlflow dvc sklearn pandas pyarrow model_signing lightgbm pandera opentelemetry".split()
)
PARTS = "training tracking gate monitoring autopilot replay contract"  # of the library


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("rung_ops.serving.serve", {*NOT_SERVED, *(f"rung_ops.{part}" for part in PARTS.split())}),
        ("rung_ops.monitoring.observation", MODEL | STORE | SIGNING | EXPORT | {"pandera"}),
        ("rung_ops.batch.predict", MODEL | STORE | PAGES | SIGNING | EXPORT),
        ("rung_ops.release.production_gate", PAGES | SIGNING | EXPORT | {"dvc", "optuna"}),
        ("rung_ops.autopilot.passes", STORE | {"polars"}),  # of a pass that is refused
        ("rung_ops.release.rollback", MODEL | STORE | PAGES | SIGNING | EXPORT | {"pandera"}),
        (
            "rung_ops.release.report_page",
            MODEL | STORE | {"matplotlib", "pandera", "polars"},
        ),  # rung-ops dvc
    ],
)
def test_a_verb_imports_no_package_that_it_does_not_need(module: str, heavy: set[str]) -> None:
    assert imported(module, heavy) == []


def test_what_a_verb_imports_is_left_out_of_the_search_for_garbage() -> None:
    code = (
        "import gc\nfrom rung_ops.__main__ import main\nfrom rung_ops.system import processes\n"
        "main(['gate', '--help'])\nkept = gc.get_freeze_count()\n"
        "with processes.importing():\n    more = [[] for _ in range(1000)]\n"
        "print(gc.isenabled(), kept > 100_000, gc.get_freeze_count() <= kept)"
    )
    assert printed(code).splitlines()[-1] == "True True True"


def test_help_of_a_verb_loads_no_package_ahead_of_its_module() -> None:
    code = "import sys\nfrom rung_ops.__main__ import main\n{}\nprint('skops' in sys.modules)"
    assert printed(code.format("main(['gate', '--help'])")).splitlines()[-1] == "False"
    assert printed(code.format("main(['gate', '--no-such-option'])")).splitlines()[-1] == "True"
