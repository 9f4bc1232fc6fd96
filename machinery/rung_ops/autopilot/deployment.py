"""The steps that touch what is served: gate, release, deployment, and the ways back."""

import json
from typing import Any

from rung_ops.autopilot import hooks, journal, marks
from rung_ops.autopilot import publish as publishing
from rung_ops.autopilot.journal import Record
from rung_ops.autopilot.step_runner import Done, StepFailed
from rung_ops.autopilot.tools import Tools, production
from rung_ops.project.paths import REPORTS, ROOT, shown
from rung_ops.release import bundle, paths, state
from rung_ops.release.deploy import rollback_event
from rung_ops.serving import policy as rollout

GATE = REPORTS / "gate.json"
BY = "autopilot"
APPROVE = (
    "look at its figures and its validation (governance/validation/README.md), then "
    "`uv run poe promote VERSION`"
)
AT_ONCE = "look at its figures, then `uv run poe deploy production RELEASE --at-once`"


def gate(tools: Tools, record: Record) -> Done:
    """Compare the new version with the one that serves.

    What only people can give, such as an approval, does not refuse it here: deploy() waits for it.
    """
    GATE.unlink(missing_ok=True)
    code = tools.tasks.run("gate")
    try:
        verdict: dict[str, Any] = json.loads(GATE.read_bytes())
    except (FileNotFoundError, ValueError):
        raise StepFailed(
            f"`poe gate` ended with exit code {code} and wrote no {shown(GATE)}: what it "
            "printed stands above."
        ) from None
    version = journal.detail(record, "train").get("version", "?")
    reasons, awaits = verdict.get("reasons", []), verdict.get("awaits", [])
    if code == 0 or (awaits and not reasons):
        return Done({"verdict": verdict})
    summary = f"the gate refused version {version}: {'; '.join(reasons)}"
    if rows := journal.detail(record, "collect").get("file"):
        marked = marks.mark_refused(rows, version, reasons)
        summary += f"; {shown(marked)} says so of the rows that it was trained with"
    publishing.publish()  # or the rows would be new again, and the next pass make the same version
    return Done({"verdict": verdict, "refused": version}, outcome="refused", summary=summary)


def release(tools: Tools, record: Record) -> Done:
    """Write the version as a signed bundle, unless the project vetoes it."""
    trained = journal.detail(record, "train")
    version = trained["version"]
    facts = journal.detail(record, "decide").get("facts", {})
    verdict = journal.detail(record, "gate").get("verdict")
    reason = hooks.veto(hooks.RELEASE, facts | {"version": version, "verdict": verdict})
    if reason:
        publishing.publish()  # as after a refusal
        summary = f"the project's veto against releasing version {version}: {reason}"
        return Done({"vetoed": version}, outcome=hooks.VETOED, summary=summary)
    made = _candidate(trained)
    if made is None:
        tools.tasks.must("release", version)
        made = _candidate(trained)
    if made is None:
        raise StepFailed(f"`poe release {version}` wrote no bundle of that version.")
    return Done({"release": made})


def publish(tools: Tools, record: Record) -> Done:
    """Push the commits that the release leads back to, where AUTOPILOT_PUSH says so."""
    return Done({"pushed to": publishing.publish()})


def deploy(tools: Tools, record: Record) -> Done:
    """Put the release on trial in production, as the project's rules want it."""
    release = journal.detail(record, "release")["release"]
    known = release in production().releases()
    if not known and not rollback_event(paths.environment(paths.PRODUCTION), release):
        if not GATE.exists():  # this pass had its verdict in another checkout
            verdict = journal.detail(record, "gate")["verdict"]
            GATE.parent.mkdir(parents=True, exist_ok=True)
            GATE.write_text(json.dumps(verdict, indent=2) + "\n", encoding="utf-8")
        tools.tasks.must("deploy", paths.PRODUCTION, release)
    return _standing(release)


def roll_back(tools: Tools, record: Record) -> Done:
    """Roll back the release that was promoted, unless that is done."""
    known = journal.detail(record, "decide")
    bad, reason = known["facts"]["serving"], known["reasons"][0]
    # The first time it may end a canary, as `poe rollback` does before anything else.
    while (before := production()).serving == bad:
        tools.tasks.must("rollback", paths.PRODUCTION, "--reason", reason)
        if production().generation == before.generation:
            raise StepFailed(f"`poe rollback` changed nothing, and {bad} still serves.")
    summary = f"{bad} was rolled back, {production().serving} serves again: {reason}"
    return Done({"taken back": bad}, outcome="rolled back", summary=summary)


def end_trial(tools: Tools, record: Record) -> Done:
    """End a canary that stays undecided, unless that is done."""
    known = journal.detail(record, "decide")
    trial, reason = known["facts"]["trial"]["release"], known["reasons"][0]
    now = production()
    if now.canary and now.canary.release == trial:
        folder = paths.environment(paths.PRODUCTION)
        state.abort(folder, reason, by=BY, expected=now.generation)
    return Done({"taken back": trial}, outcome="trial ended", summary=reason)


def _standing(release: str) -> Done:
    """Say where a release that was just deployed stands, and who decides what comes next."""
    now = production()
    tried = {"canary": now.canary, "shadow": now.shadow}
    arm = next((arm for arm, of in tried.items() if of and of.release == release), None)
    if arm is None:
        done = now.serving == release
        summary = f"{release} {'answers in' if done else 'was taken out of'} production"
        return Done({"release": release}, outcome="deployed", summary=summary)
    if rollout.policy() is None:
        return Done(
            {"release": release, "waits": True},
            outcome="waits for approval",
            summary=f"{release} is in {arm} and answers nobody until a person approves it: "
            f"{APPROVE if (ROOT / 'governance/validation').is_dir() else AT_ONCE}",
        )
    summary = f"{release} is in {arm}: the service promotes it or sends it back (ops/rollout.toml)"
    return Done({"release": release}, outcome="on trial", summary=summary)


def _candidate(trained: dict[str, str]) -> str | None:
    """Find the bundle of a version among the candidates; folders that are not bundles are skipped.

    Its run tells it from others: a registry that was recreated counts from 1 again.
    """
    found = []
    for path in paths.candidates().glob(f"v{trained['version']}-*"):
        try:
            manifest = bundle.read_manifest(path)
        except bundle.BadBundle:
            continue
        if manifest["run_id"] == trained["run_id"]:
            found.append((manifest["created"], path.name))
    return max(found)[1] if found else None
