"""A version is judged by what is committed, which can be looked up later."""

import subprocess
from hashlib import md5
from pathlib import Path

import pytest

from machinery.governance.tests.conftest import Patch
from machinery.governance.tests.signing import ADA, PASSED, Desk
from machinery.tests.projects import moved
from rung_governance.approval import gate, plan, rejudge
from rung_ops.gate import registry_gate

VERDICT = rejudge.verdict  # a desk replaces it
FILES = (
    "params.toml",
    "ops/gate.toml",
    "governance/change_control_plan.yaml",
    "governance/allowed_signers",
    "governance/validation/credit-risk-1.yaml",
)


@pytest.fixture
def record(desk: Desk) -> Path:
    """The record of a version; all that judges it is committed."""
    desk.commit(ADA, {name: f"# {name}\n" for name in FILES if "gate" not in name})
    desk.commit(ADA, {"ops/gate.toml": "[gate]\n# as agreed\n"})
    return desk.folder / FILES[-1]


@pytest.mark.parametrize("way", ["edited", "deleted", "edited behind a filter"])
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_judges_and_is_not_as_committed_is_named(
    desk: Desk, record: Path, name: str, way: str
) -> None:
    assert list(rejudge.uncommitted(record, root=desk.folder)) == []

    (desk.folder / name).write_text("# another\n")
    if way == "deleted":
        (desk.folder / name).unlink()
    elif way == "edited behind a filter":
        (desk.folder / ".git/info/attributes").write_text("* filter=back\n")
        desk.git("config", "filter.back.clean", "git show HEAD:%f")

    (reason,) = rejudge.uncommitted(record, root=desk.folder)
    assert f"{Path(name).name} is not as it is committed" in reason


@pytest.mark.tried(
    "Put other test rows under data/, on which a version is better",
    "the gate refuses, unless dvc.lock was edited as well; CI's gate makes its own rows",
)
def test_other_rows_than_the_pipeline_made_are_named(desk: Desk) -> None:
    path = desk.folder / "data/test.parquet"
    lock = f"stages: {{split: {{outs: [{{path: data/test.parquet, md5: {md5(b'rows').hexdigest()}}}]}}}}"
    desk.commit(ADA, {"dvc.lock": lock, "data/test.parquet": "rows"})
    moved(desk.patch, root=desk.folder, test=path, train=path)
    assert list(rejudge.other_rows()) == []

    path.write_text("better rows")

    assert "is not what dvc.lock says" in next(rejudge.other_rows())


def test_what_a_job_of_ci_takes_from_the_main_branch_is_committed(
    desk: Desk, record: Path, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(desk.folder), str(clone)], check=True)
    desk.commit(ADA, {FILES[-1]: "# approved\n"})
    for words in (["fetch", "-q", "origin"], ["checkout", "-q", "FETCH_HEAD", "--", "governance"]):
        subprocess.run(["git", *words], cwd=clone, check=True)
    desk.patch.setattr(rejudge.gate_rules, "rules_file", lambda: clone / "ops/gate.toml")

    assert list(rejudge.uncommitted(clone / FILES[-1], root=clone)) == []


@pytest.mark.parametrize("rung", [2, 3])
@pytest.mark.tried(
    "Judge by a `params.toml`, `ops/gate.toml`, plan, record or `allowed_signers` that is"
    " not committed",
    "the gate refuses",
)
def test_the_gate_refuses_what_is_judged_by_uncommitted_files(
    rung: int, monkeypatch: Patch, tmp_path: Path
) -> None:
    monkeypatch.setattr(gate, "verdict", lambda version: PASSED)
    monkeypatch.setattr(registry_gate, "registry_verdict", lambda version: PASSED)
    if rung == 2:
        monkeypatch.setattr(plan, "path", lambda root=None: tmp_path / "none.yaml")
    monkeypatch.setattr(rejudge, "uncommitted", lambda *further: ["params.toml is not"])

    verdict = rejudge.verdict("1")

    assert (verdict.promote, verdict.reasons) == (False, ["params.toml is not"])


def test_a_record_is_signed_before_it_is_committed_and_released_after(
    desk: Desk, monkeypatch: Patch
) -> None:
    asked: list[tuple[Path, ...]] = []
    monkeypatch.setattr(rejudge, "verdict", VERDICT)
    monkeypatch.setattr(registry_gate, "registry_verdict", lambda version: PASSED)
    monkeypatch.setattr(plan, "path", lambda root=None: desk.folder / "none.yaml")
    monkeypatch.setattr(rejudge, "uncommitted", lambda *more: asked.append(more) or [])
    version = desk.version()
    desk.record(version)

    assert rejudge.verdict(str(version.version), signing=True).promote
    assert rejudge.verdict(str(version.version)).promote

    assert [len(each) for each in asked] == [0, 1]
