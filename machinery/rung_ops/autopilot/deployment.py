"""Steps that change production: gate, release, deploy, roll back, end a trial."""

import json
from pathlib import Path
from typing import Any

from rung_ops import addons
from rung_ops.autopilot import hooks, journal, marks
from rung_ops.autopilot import publish as publishing
from rung_ops.autopilot.journal import Record
from rung_ops.autopilot.step_runner import Done, StepFailed
from rung_ops.autopilot.tools import Tools, production
from rung_ops.model import bundle
from rung_ops.project import current, keyless, release_folders
from rung_ops.project.paths import shown
from rung_ops.release import rollout_policy as rollout
from rung_ops.release import state
from rung_ops.release.deploy import rollback_event


def gate_file() -> Path:
    """Return the path of the gate's verdict."""
    return current().reports / "gate.json"


BY = "autopilot"
AT_ONCE = "check its figures, then run `uv run poe deploy production RELEASE --at-once`"


def gate(tools: Tools, record: Record) -> Done:
    """Compare the new version with the serving release.

    A missing decision of people, such as an approval, does not refuse it: deploy() waits for it.
    """
    gate_file().unlink(missing_ok=True)
    code = tools.tasks.run("gate")
    try:
        verdict: dict[str, Any] = json.loads(gate_file().read_bytes())
    except (FileNotFoundError, ValueError):
        raise StepFailed(
            f"`poe gate` ended with exit code {code} and did not write {shown(gate_file())}: see its "
            "output above."
        ) from None
    version = journal.detail(record, "train").get("version", "?")
    reasons, awaits = verdict.get("reasons", []), verdict.get("awaits", [])
    if code == 0 or (awaits and not reasons):
        return Done({"verdict": verdict})
    summary = f"the gate refused version {version}: {'; '.join(reasons)}"
    if rows := journal.detail(record, "collect").get("file"):
        marked = marks.mark_refused(rows, version, reasons)
        summary += f"; its training rows are marked in {shown(marked)}"
    publishing.publish()  # otherwise the rows count as new, and the next pass trains on them again
    return Done({"verdict": verdict, "refused": version}, outcome="refused", summary=summary)


def release(tools: Tools, record: Record) -> Done:
    """Write the version as a signed bundle, unless the project vetoes it."""
    trained = journal.detail(record, "train")
    version = trained["version"]
    facts = journal.detail(record, "decide").get("facts", {})
    verdict = journal.detail(record, "gate").get("verdict")
    asked = facts | {"version": version, "verdict": verdict}
    reason = keyless.guarded("rung_ops.autopilot.hooks:veto", hooks.RELEASE, asked)
    if reason:
        publishing.publish()  # as after a refusal
        summary = f"the project's veto against releasing version {version}: {reason}"
        return Done({"vetoed": version}, outcome=hooks.VETOED, summary=summary)
    candidate = _candidate(trained)
    if candidate is None:
        tools.tasks.must("release", version)
        candidate = _candidate(trained)
    if candidate is None:
        raise StepFailed(f"`poe release {version}` did not write a bundle of that version.")
    return Done({"release": candidate})


def publish(tools: Tools, record: Record) -> Done:
    """Push the commits that the release refers to, if AUTOPILOT_PUSH is set."""
    return Done({"pushed to": publishing.publish()})


def deploy(tools: Tools, record: Record) -> Done:
    """Deploy the release to production, as shadow or canary by the project's rules."""
    release = journal.detail(record, "release")["release"]
    known = release in production().releases()
    if not known and not rollback_event(
        release_folders.environment(release_folders.PRODUCTION), release
    ):
        if not gate_file().exists():  # the verdict was written in another checkout
            verdict = journal.detail(record, "gate")["verdict"]
            gate_file().parent.mkdir(parents=True, exist_ok=True)
            gate_file().write_text(json.dumps(verdict, indent=2) + "\n", encoding="utf-8")
        tools.tasks.must("deploy", release_folders.PRODUCTION, release)
    return _result(release)


def roll_back(tools: Tools, record: Record) -> Done:
    """Roll back the promoted release, unless that was done before."""
    known = journal.detail(record, "decide")
    bad, reason = known["facts"]["serving"], known["reasons"][0]
    # The first rollback may only end a canary or a shadow.
    while (before := production()).serving == bad:
        tools.tasks.must("rollback", release_folders.PRODUCTION, "--reason", reason)
        if production().generation == before.generation:
            raise StepFailed(f"`poe rollback` changed nothing: {bad} is still served.")
    summary = f"{bad} was rolled back; {production().serving} is served again: {reason}"
    return Done({"taken back": bad}, outcome="rolled back", summary=summary)


def end_trial(tools: Tools, record: Record) -> Done:
    """End a canary without a verdict, unless that was done before."""
    known = journal.detail(record, "decide")
    trial, reason = known["facts"]["trial"]["release"], known["reasons"][0]
    now = production()
    if now.canary and now.canary.release == trial:
        folder = release_folders.environment(release_folders.PRODUCTION)
        state.abort(folder, reason, by=BY, expected=now.generation)
    return Done({"taken back": trial}, outcome="trial ended", summary=reason)


def _result(release: str) -> Done:
    """Describe the role of a release that was just deployed, and who decides next."""
    now = production()
    arms = {"canary": now.canary, "shadow": now.shadow}
    arm = next((arm for arm, of in arms.items() if of and of.release == release), None)
    if arm is None:
        served = now.serving == release
        summary = f"{release} {'is served in' if served else 'was removed from'} production"
        return Done({"release": release}, outcome="deployed", summary=summary)
    if rollout.policy() is None:
        return Done(
            {"release": release, "waits": True},
            outcome="waits for approval",
            summary=f"{release} is in {arm} and is not served until a person approves it: "
            f"{next(filter(None, (each.approval for each in addons.active().values())), AT_ONCE)}",
        )
    summary = f"{release} is in {arm}: the service promotes it or ends it (ops/rollout.toml)"
    return Done({"release": release}, outcome="on trial", summary=summary)


def _candidate(trained: dict[str, str]) -> str | None:
    """Return the newest candidate of a version, if any.

    The run is compared too: numbers of versions repeat in a registry that was recreated.
    """
    candidates = []
    for path in release_folders.candidates().glob(f"v{trained['version']}-*"):
        try:
            manifest = bundle.read_manifest(path)
        except bundle.BundleError:
            continue
        if manifest["run_id"] == trained["run_id"]:
            candidates.append((manifest["created"], path.name))
    return max(candidates)[1] if candidates else None
