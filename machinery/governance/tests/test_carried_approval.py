"""An image for scoring, without registry, git and OpenSSH, scores as the approval allows."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from machinery.governance.tests.conftest import Patch
from machinery.governance.tests.signing import new_key
from machinery.tests.projects import moved
from rung_governance.approval import audit, batch, plan, signatures, signed_approval, validation
from rung_governance.approval.signed_log import WITHDRAWN
from rung_ops import contract
from rung_ops.model import bundle
from rung_ops.release import state

MODEL = b"the bytes of the model"


@pytest.fixture
def image(tmp_path: Path, production: Path, monkeypatch: Patch) -> Path:
    """A folder with a model, as an image carries it, without approval."""
    (tmp_path / "model.skops").write_bytes(MODEL)
    (tmp_path / validation.RECORDS).mkdir(parents=True)
    (tmp_path / "src/credit").mkdir(parents=True)
    (tmp_path / "src/credit/features.py").write_text("FEATURES = []\n")
    monkeypatch.setattr(contract, "package", lambda: "credit")
    signers = tmp_path / signatures.SIGNERS
    signers.write_text(signatures.line_for(new_key(tmp_path / "vera.key"), "vera@example.org"))
    plan.path(tmp_path).write_text("approval: {}\n")
    moved(monkeypatch, model_file=tmp_path / "model.skops")
    moved(monkeypatch, batch, root=tmp_path)
    monkeypatch.setattr(signatures, "signers_file", lambda: signers)
    with audit.signed(production):
        state.serve(production, "v1-aaaaaaaa-bbbbbb", "Ada")
    return tmp_path


@pytest.fixture
def sign(image: Path) -> Callable[..., Path]:
    """Signs an approval of the model; what is given replaces a part; returns the file."""

    def write(number: int = 1, key: str = "vera.key", **changes: str) -> Path:
        path = image / validation.RECORDS / f"credit-{number}.approval.json"
        content = {
            "model_file": hashlib.sha256(MODEL).hexdigest(),
            "source_hash": bundle.source_hash_of_folder(image, "credit"),
        }
        terms = {"approved": "2026-01-31", "expires": "2099-01-31"}
        signed_approval.write(path, content | terms | changes, str(image / key))
        return path

    return write


def refusal() -> str:
    (reason,) = batch.carried_objections()
    return reason


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_model_with_a_signed_approval_is_approved(sign: Callable[..., Path]) -> None:
    sign()
    assert list(batch.carried_objections()) == []


@pytest.mark.tried(
    "Score a file in an image without a signed approval, or with one that no longer holds",
    "refused, or marked in each row",
)
def test_a_model_that_no_approval_names_is_not(image: Path, sign: Callable[..., Path]) -> None:
    assert refusal().startswith("no approval that a validator has signed names this model (")

    new_key(image / "eve.key")
    sign(1, "eve.key")
    sign(2, model_file="0" * 64)
    edited = sign(3, model_file="0" * 64)
    wrong = json.loads(edited.read_text()) | {"model_file": hashlib.sha256(MODEL).hexdigest()}
    edited.write_text(json.dumps(wrong))

    assert refusal().startswith("no approval that a validator has signed names this model (")


def test_what_has_expired_or_was_withdrawn_is_not(
    image: Path, production: Path, sign: Callable[..., Path]
) -> None:
    path = sign(expires="2026-02-01")
    assert "expired on 2026-02-01" in refusal()

    path = sign()
    signed_approval.withdrawal_of(path, digest(path)).write_text("{}")
    assert refusal() == "its approval was withdrawn"

    path = sign(expires="2099-02-01")
    assert list(batch.carried_objections()) == []
    audit.record(production, WITHDRAWN, "Vera", approval=digest(path))
    assert refusal() == "its approval was withdrawn"


@pytest.mark.tried(
    "Score a file with other source than was approved, in the project or in an image",
    "refused, or marked in each row",
)
def test_with_other_source_it_is_not_the_approved_one(
    image: Path, sign: Callable[..., Path]
) -> None:
    sign()
    (image / "src/credit/features.py").write_text("FEATURES = [1]\n")
    assert refusal() == "src/ is not the source that was approved"


def test_where_the_releases_are_not_mounted_a_later_withdrawal_is_not_known(
    image: Path, production: Path, sign: Callable[..., Path]
) -> None:
    sign()
    (production / state.HISTORY).rename(production / "elsewhere")

    assert "mount the folder of the releases at /app/releases" in refusal()
    plan.path(image).unlink()  # as at rung 2, where nothing is served
    assert list(batch.carried_objections()) == []


def test_a_team_of_one_has_no_signature_that_names_the_model(image: Path) -> None:
    (image / signatures.SIGNERS).unlink()
    assert "no signature says here which model was validated" in refusal()
