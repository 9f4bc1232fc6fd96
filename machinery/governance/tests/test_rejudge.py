"""The verdict is run again: edited reports and tags, and a swapped model, are found."""

import json
import shutil
import subprocess
from dataclasses import asdict, replace
from hashlib import md5
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from machinery.governance.tests.conftest import Patch, Refusal
from machinery.governance.tests.signing import ADA, PASSED, Desk
from machinery.tests.conftest import FACTS
from machinery.tests.projects import moved
from rung_governance.approval import deploy, gate, plan, rejudge, release
from rung_ops.errors import SettingsError
from rung_ops.gate import registry_gate
from rung_ops.gate import rules as gate_rules
from rung_ops.model import bundle
from rung_ops.project import keyless, paths
from rung_ops.release import make
from rung_ops.release.history import ChangeRefusedError
from rung_ops.tracking import registry, versions


@pytest.fixture
def version(desk: Desk) -> Any:
    """A version that the gate lets pass, and has."""
    made = desk.version()
    desk.judge(replace(PASSED, challenger={"version": str(made.version)}))
    write(made)
    desk.patch.setattr(release, "write", lambda version, options: 0)
    return made


def write(version: Any, **changes: Any) -> None:
    """Write reports/gate.json as the gate does; what is given replaces a part."""
    verdict = asdict(replace(PASSED, challenger={"version": str(version.version)}))
    gate_rules.verdict_file().write_text(json.dumps(verdict | changes))


def test_an_unchanged_version_is_released(version: Any) -> None:
    assert rejudge.faults(str(version.version)) == []
    assert release.main([str(version.version)]) == 0


@pytest.mark.parametrize("name", rejudge.ORIGIN)
@pytest.mark.tried(
    "Edit a tag of the registry", "found against what the run recorded, and against the approval"
)
def test_an_edited_tag_of_the_registry_is_found(version: Any, name: str, refusal: Refusal) -> None:
    registry.client().set_model_version_tag(version.name, version.version, name, "f" * 40)
    assert f"the registry's tag {name} of version" in refusal(release.main, version.version)


@pytest.mark.tried(
    "Put another model under a version", "found: its bytes are not those that the run recorded"
)
def test_a_swapped_model_is_found(version: Any, refusal: Refusal) -> None:
    (Path(version.source.removeprefix("file://")) / "model.skops").write_text("other bytes")
    assert "is not the one that its run recorded" in refusal(release.main, version.version)


@pytest.mark.parametrize(
    "edit",
    [
        {"figures": PASSED.figures | {"challenger": 0.99}},
        {"reasons": ["worse than the champion"]},
        {"champion": {"version": "7"}},
    ],
)
@pytest.mark.tried(
    "Edit `reports/gate.json`",
    "`poe release` and `poe deploy production` run the gate again",
)
def test_an_edited_verdict_is_found(version: Any, edit: dict[str, Any], refusal: Refusal) -> None:
    write(version, **edit)
    assert "gate.json does not say what the gate says" in refusal(release.main, version.version)


def test_a_verdict_by_another_plan_is_refused_before_the_promotion_would(
    version: Any, refusal: Refusal
) -> None:
    write(version, figures=PASSED.figures | {"plan": "of yesterday"})
    reason = (
        f"the verdict in {gate_rules.verdict_file()} is by another change control plan than "
        f"today's: `uv run poe gate {version.version}` judges it again"
    )

    assert f"- {reason}\n" in refusal(release.main, version.version)
    assert deploy.rejudged(manifest(version)) == [reason]


def test_a_verdict_that_was_made_to_pass_is_not_believed(desk: Desk, version: Any) -> None:
    about = {"version": str(version.version)}
    reasons = ["worse than a constant"]
    desk.judge(replace(PASSED, promote=False, reasons=reasons, challenger=about))

    edited, refused = deploy.rejudged(manifest(version))
    assert "does not say what the gate says" in edited and refused == "worse than a constant"


def test_a_plan_that_stops_the_gate_is_named_and_nothing_is_done(
    desk: Desk, version: Any, refusal: Refusal
) -> None:
    def broken(*arguments: Any, raises: Any = ()) -> None:
        assert SettingsError in raises
        raise SettingsError(f"{plan.FILE} is not YAML. Fix it.")

    desk.patch.setattr(rejudge, "verdict", VERDICT)
    desk.patch.setattr(keyless, "call", broken)
    sentence = f"{plan.FILE} is not YAML. Fix it."

    assert f"Nothing was released. {sentence}" in refusal(release.main, version.version)
    with pytest.raises(ChangeRefusedError, match=f"^the gate could not be run again: {sentence}$"):
        deploy.rejudged(manifest(version))


def test_what_another_process_wrote_is_signed_here(
    release_folder: Path,
    release_private_key: bytes,
    release_key: bytes,
    production: Path,
    tmp_path: Path,
    monkeypatch: Patch,
) -> None:
    (tmp_path / "release.pub").write_bytes(release_key)
    monkeypatch.setenv("RELEASE_KEY", str(tmp_path / "release.pub"))
    monkeypatch.setenv("RELEASE_PRIVATE_KEY", release_private_key.decode())
    monkeypatch.setattr(versions, "facts_of", lambda version: FACTS)

    def build(function: str, arguments: list[str]) -> int:
        """Write it as make.main() does, which holds the lock of the folder."""
        staged, folder = tmp_path / release_folder.name, Path(arguments[2])
        shutil.copytree(release_folder, staged)
        (staged / bundle.SIGNATURE).unlink()
        folder.mkdir(exist_ok=True)
        make.put(staged, folder)
        return 0

    monkeypatch.setattr(keyless, "call", build)

    version: Any = SimpleNamespace(version="1")
    assert release.write(version, None) == 0

    (made,) = paths.candidates().glob("[!.]*")
    assert made.name == release_folder.name
    assert bundle.verify(made, release_key) == bundle.read_manifest(release_folder)


def test_a_release_of_another_model_than_the_recorded_one_is_found(version: Any) -> None:
    assert deploy.rejudged(manifest(version)) == []
    (fault,) = deploy.rejudged(manifest(version, model_hash="0" * 64))
    assert fault.startswith("the release says model_hash 0000")


def manifest(version: Any, **changes: str) -> dict[str, str]:
    return {"version": str(version.version)} | version.tags | changes


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
