"""Files are scored as the approval allows: not while stopped, and not as if approved."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from machinery.governance.tests.conftest import Capture, Patch, edit_state
from machinery.governance.tests.signing import MODEL, VERA, Desk
from machinery.tests.projects import moved
from rung_governance.approval import approve, audit, batch, plan, signed_log, validation
from rung_governance.approval.plan import ApprovalTerms
from rung_ops import contract
from rung_ops.batch import predict, predict_logged
from rung_ops.batch.predict import Result
from rung_ops.errors import StageError
from rung_ops.release import state
from rung_ops.training import refit

SCORED = pl.DataFrame({"prediction": [0.25, None]})
STOPPED = "Olga stopped the model at .*: refuses everybody"


@pytest.fixture(autouse=True)
def logged_by_a_stand_in(desk: Desk, monkeypatch: Patch) -> None:
    """The log takes everything."""
    monkeypatch.setattr(predict_logged, "log_predictions", predict.unchanged)
    monkeypatch.setattr(predict_logged, "release", lambda: "v1-9f86d081")
    (desk.folder / validation.RECORDS).mkdir(parents=True, exist_ok=True)
    model = desk.folder.parent / "model.skops"
    moved(monkeypatch, batch, refit, root=desk.folder, model_file=model)
    monkeypatch.setattr(contract, "package", lambda: "credit")
    batch.current().model_file.write_text(MODEL)


def scored_and_logged(stops: Callable[[], object] = lambda: None) -> pl.DataFrame:
    with batch.log_predictions() as log:
        logged = log(SCORED)
        stops()
    return logged


def approved(desk: Desk) -> str:
    version = desk.version()
    assert desk.approve(version) == 0
    return str(version.version)


def test_an_approved_model_scores_and_nothing_is_marked(desk: Desk) -> None:
    approved(desk)
    assert scored_and_logged().equals(SCORED)


@pytest.mark.tried(
    "Score a file with other source than was approved, in the project or in an image",
)
def test_edited_source_and_a_model_put_in_its_place_mark_each_row(desk: Desk) -> None:
    approved(desk)
    (desk.folder / "src/credit/model.py").write_text("C = 2\n")
    batch.current().model_file.write_text("other bytes")

    model, source = batch.objections()

    assert "is not the model of version 1" in model
    assert source.startswith("src/credit is not as commit ")


@pytest.mark.tried(
    "Score a file with a model that is not approved",
    "marked in each row (`not_approved`), or refused: `batch` in the plan",
)
def test_a_withdrawn_model_marks_each_row(desk: Desk, capsys: Capture) -> None:
    number = approved(desk)
    assert approve.main([number, "--key", desk.key(VERA), "--withdraw", "it leans on age"]) == 0

    (mark,) = scored_and_logged()[batch.NOT_APPROVED].unique()

    assert "withdrawn" in mark and "it leans on age" in mark
    assert "The model is not approved" in capsys.readouterr().err


@pytest.mark.parametrize("release", ["v1-9f86d081", "unregistered-9f86d081"])
def test_if_the_plan_says_so_an_unapproved_model_scores_nothing(
    desk: Desk, release: str, monkeypatch: Patch
) -> None:
    desk.version()
    monkeypatch.setattr(predict_logged, "release", lambda: release)
    monkeypatch.setattr(plan, "approval_terms", lambda: ApprovalTerms(refuses_batch=True))

    with pytest.raises(StageError, match="Nothing was scored. The model is not approved"):
        scored_and_logged()


def test_the_plan_says_whether_files_are_refused_or_marked(desk: Desk) -> None:
    assert not plan.approval_terms(desk.folder).refuses_batch
    plan.path(desk.folder).write_text("approval: {batch: refuse}\n")
    assert plan.approval_terms(desk.folder).refuses_batch


def test_an_unreachable_registry_is_not_an_approval(desk: Desk) -> None:
    (objection,) = batch.objections()  # it knows no version 1
    assert objection.startswith("whether it is approved is not known here: ")


def test_a_stop_during_the_scoring_counts(desk: Desk, production: Path) -> None:
    approved(desk)
    with audit.signed(production):
        state.serve(production, "v1-abcdef01-abcdef", "Ada")

    with pytest.raises(StageError, match=f"Nothing was logged or written: {STOPPED}"):
        scored_and_logged(lambda: state.stop(production, "Olga", "refuses everybody"))


@pytest.mark.tried(
    "Score a file while stopped, also after the stop was edited out of `state.json`", "refused"
)
def test_a_stop_holds_for_files_too_also_when_it_was_edited_away(
    desk: Desk, production: Path
) -> None:
    approved(desk)
    with audit.signed(production):
        state.serve(production, "v1-abcdef01-abcdef", "Ada")
        state.stop(production, "Olga", "refuses everybody")
    with pytest.raises(StageError, match=STOPPED):
        scored_and_logged()

    edit_state(production, stopped=None)

    with pytest.raises(StageError, match=STOPPED):
        scored_and_logged()
    (production / state.STATE).unlink()
    with pytest.raises(StageError, match=STOPPED):
        scored_and_logged()


def test_if_a_stop_cannot_be_determined_nothing_is_scored(desk: Desk, production: Path) -> None:
    approved(desk)
    with audit.signed(production):
        state.serve(production, "v1-abcdef01-abcdef", "Ada")
    (production / signed_log.ANCHORS).write_text("{}\n")

    with pytest.raises(
        StageError, match="Nothing was logged or written. The audit log cannot be relied"
    ):
        scored_and_logged()


def test_without_a_registry_the_approval_that_an_image_carries_counts(
    desk: Desk, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(batch.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(batch, "carried_objections", lambda: iter(["it has expired"]))
    (mark,) = scored_and_logged()[batch.NOT_APPROVED].unique()
    assert mark == "it has expired"


def test_without_validation_files_are_only_scored(monkeypatch: Patch, tmp_path: Path) -> None:
    moved(monkeypatch, batch, repository=tmp_path / "rung-1")

    assert scored_and_logged().equals(SCORED)


@pytest.mark.tried(
    "Score a file with `rung-ops predict`, typed without its task",
    "logged, marked or refused as by `poe predict`: there is one verb",
)
def test_no_backend_writes_past_the_approval(
    desk: Desk, tmp_path: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    def backend(source: Path, output: Path, before_writing: predict.BeforeWriting) -> Result:
        predict.write([SCORED], output, before_writing)
        return Result(2, 1, [], {}, [])

    desk.version()
    moved(monkeypatch, predict, model_file=batch.current().model_file)
    monkeypatch.setattr(predict, "in_process", backend)
    monkeypatch.setattr(plan, "approval_terms", lambda: ApprovalTerms(refuses_batch=True))

    assert predict.main([str(tmp_path / name) for name in ("in.parquet", "out.parquet")]) == 1

    assert "Nothing was scored. The model is not approved" in capsys.readouterr().err
    assert not (tmp_path / "out.parquet").exists()
