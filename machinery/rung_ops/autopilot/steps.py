"""The steps of a pass, in the order in which they happen.

The first ones observe production and decide; others train a version; the last ones change production:
gate, release, deploy, roll back, end a trial. Each can be run again after it was interrupted: it
checks what it has done before. The project's hooks, set in `[tool.rung.hooks]` of pyproject.toml, can
veto training and releasing, and are notified of what was promoted and rolled back.
"""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from rung_ops import prediction_log
from rung_ops.autopilot import commits, facts, journal, training_rows
from rung_ops.autopilot import decide as rules
from rung_ops.autopilot.journal import Done, Record, Step, Tools, production, tries
from rung_ops.errors import StageError
from rung_ops.gate import rules as gate_rules
from rung_ops.model import bundle
from rung_ops.prediction_log import log_sync
from rung_ops.project import active_addons, current, hooks, keyless, paths
from rung_ops.project.paths import shown
from rung_ops.release import rollout, state
from rung_ops.release.deploy import rollback_event
from rung_ops.release.history import State
from rung_ops.release.state import concerns
from rung_ops.system import key_names
from rung_ops.tracking import last_run

VETO, NOTIFY = "autopilot_veto", "notify"
TRAIN, RELEASE = "train", "release"  # the actions that a veto is asked about
VETOED = "vetoed"  # the outcome of a pass that a veto ended
PRODUCTION = paths.PRODUCTION
SERVED = "production"
# What a release is in after an event of the history.
ROLES = {
    **{"shadow": "shadow", "canary": "canary", "advance": "canary"},
    **{"promote": SERVED, "serve": SERVED},
}
# Keys of the release in the detail of a step that settled what became of it.
SETTLED = ("promoted", "aborted", "ended", "taken back")


def ask_veto(action: str, facts: dict[str, Any]) -> str | None:
    """Ask the project's autopilot_veto about TRAIN or RELEASE; return its reason against it, if any."""
    try:
        function = hooks.load(VETO)
        if function is None:
            return None
        reason = function(action, dict(facts))
    except StageError:
        raise
    except Exception as error:  # the user's hook may raise anything
        raise StageError(
            f"The hook {VETO} raised {type(error).__name__}: {error}. Without its answer the "
            f"autopilot does not {action}: repair the hook, or remove its line from pyproject.toml."
        ) from error
    if reason is None or (isinstance(reason, str) and reason.strip()):
        return reason
    raise StageError(
        f"The hook {VETO} returned {reason!r}; it must return the reason as text, or None to let "
        f"the autopilot {action}."
    )


def notify(subject: str, message: str) -> None:
    """Call the project's notify, without the keys of this process."""
    keyless.guarded("rung_ops.project.hooks:notify", subject, message)


def notify_of_step(step: Record) -> None:
    """Notify of a step whose entry is saved: a pass that is stopped here does not notify twice."""
    for subject, message in _notifications(step):
        notify(subject, message)


# What the detail of a step says of a release that did not come to serve, or does not any more.
ENDINGS = {
    "aborted": "was aborted",
    "ended": "was not promoted: its trial ended",
    "taken back": "was rolled back",
}


def _notifications(step: Record) -> Iterator[tuple[str, str]]:
    """Yield subject and message for what a step changed; a training that is held back is told once."""
    detail = step["detail"]
    if detail.get("promoted"):
        yield f"{detail['promoted']} was promoted", f"{detail['promoted']} {detail['says']}."
    elif step["outcome"] == "deployed":
        yield f"{detail['release']} was promoted", f"{step['summary']}."
    if detail.get("held_back") and not detail.get("told"):
        yield "A training is held back", f"{'; '.join(detail['reasons'])}."
    for key, happened in ENDINGS.items():
        if release := detail.get(key):
            yield f"{release} {happened}", detail.get("says") or step["summary"]


# The steps that follow a decision.
THEN = {
    rules.NOTHING: (),
    rules.WAIT: (),
    rules.RETRAIN: (
        *("collect", "commit rows", "choose", "train", "commit run"),
        *("gate", "release", "publish", "deploy"),
    ),
    rules.ROLL_BACK: ("roll back",),
    rules.END_TRIAL: ("end trial",),
}


def look(tools: Tools, record: Record) -> Done:
    """Run the monitor, once something was predicted, and read the counters of the service."""
    serving = production().serving
    if serving is None:
        return Done({"serving": None})
    moment = datetime.fromisoformat(record["at"])
    log = log_sync.download_for_pass(PRODUCTION, moment)
    if not any(log.glob("date=*/*.parquet")):
        return Done({"serving": serving, "status": None, "reading": None})
    status, url = _status(tools, record), tools.policy.service.url
    reading = facts.reading(url, serving) if url else None
    return Done({"serving": serving, "status": status, "reading": reading})


def _status(tools: Tools, record: Record) -> dict[str, Any]:
    """Run the monitor; a dry one prints its status instead of writing it."""
    if tools.dry:
        printed = tools.tasks.last_line("monitor", "--json", "--now", record["at"])
        try:
            return dict(json.loads(printed))
        except (ValueError, TypeError):
            raise StageError(f"`poe monitor --json` did not print a status: {printed}") from None
    file = current().reports / "monitor/status.json"
    file.unlink(missing_ok=True)
    code = tools.tasks.run("monitor", "--now", record["at"])
    return _read(file, f"`poe monitor` ended with exit code {code}")


def _read(file: Path, ended: str) -> dict[str, Any]:
    """Read what a task has written as JSON."""
    try:
        return dict(json.loads(file.read_bytes()))
    except (FileNotFoundError, ValueError):
        raise StageError(
            f"{ended} and did not write {shown(file)}: see its output above."
        ) from None


def settle(tools: Tools, record: Record) -> Done:
    """Find the result of the release that an earlier pass deployed."""
    result = settled(production(), journal.passes())
    if result:
        tools.say(f"{result['release']}: {result['says']}")
    return Done(result)


def settled(state: State, passes: Sequence[Record]) -> dict[str, Any]:
    """Return the `release` that was deployed last, what it `says`, and a key of SETTLED if it has ended."""
    recorded = {
        detail.get(key)
        for name in ("settle", "roll back", "end trial")
        for _, detail in journal.ended(passes, name)
        for key in SETTLED
    }
    deployed = [detail["release"] for _, detail in journal.ended(passes, "deploy")]
    if not deployed or deployed[-1] in recorded:
        return {}
    release = deployed[-1]
    for arm, tried in facts.arms(state):
        if tried.release == release:
            return {"release": release, "says": f"is in {arm}"}
    if state.serving == release:
        return {"release": release, "promoted": release, "says": "was promoted and is served"}
    became, says = _why_not(release)
    return {"release": release, became: release, "says": says}


def decide(tools: Tools, record: Record) -> Done:
    """Apply the rules."""
    # Code of the project and of the release before is asked: the outcomes, their score, the veto.
    detail = keyless.guarded("rung_ops.autopilot.steps:decided", record, kept=key_names.OF_LOG)
    action, reasons, veto = detail["action"], detail["reasons"], detail.get("veto")
    if not tools.dry:
        _write_gauges(detail["held_back"])
    tools.say(f"Decided: {action}, because")
    for reason in reasons:
        tools.say(f"- {reason}")
    if veto:
        tools.say(f"Vetoed: {veto}")
        summary = f"the project's veto against training: {veto}"
        return Done(detail, outcome=VETOED, summary=summary)
    if then := THEN[action]:
        return Done(detail, then)
    return Done(detail, outcome=action, summary=reasons[0])


def decided(record: Record) -> dict[str, Any]:
    """Gather the facts, apply the rules, and ask for the project's veto; return the step's detail."""
    policy = rules.read_rules()
    passes = journal.passes()
    gathered = facts.gather(record, production(), passes, policy)
    decision = rules.decide(gathered, policy)
    known = facts.as_json(gathered)
    veto = ask_veto(TRAIN, known) if decision.action == rules.RETRAIN else None
    earlier = [detail for _, detail in journal.ended(passes, "decide")]
    told = bool(earlier and earlier[-1].get("held_back"))
    made = asdict(decision) | {"facts": known, "told": told}
    return made | ({"veto": veto} if veto else {})


def _why_not(release: str) -> tuple[str, str]:
    """Return what became of a release that is neither served nor on trial: a key of SETTLED, and why."""
    role, last = "shadow", None
    for event in facts.production_events():
        if concerns(event, release):
            last = event
            role = ROLES.get(event["event"], role)
    if last is None or last["event"] not in ("abort", "roll_back", "end_trial"):
        became = "promoted" if role == SERVED else "ended"
        return became, f"is no longer in {role}: another release was deployed in its place"
    reason = last["detail"].get("reason") or "no reason given"
    if last["event"] == "end_trial":
        return "ended", f"is no longer in {role}, ended by {last['by']}: {reason}"
    if role == SERVED:
        return "taken back", f"was rolled back by {last['by']}: {reason}"
    return "aborted", f"was aborted in {role} by {last['by']}: {reason}"


def _write_gauges(held_back: bool) -> None:
    """Write what the service passes on to Prometheus, beside the monitor's figures."""
    log = prediction_log.folder(PRODUCTION)
    if not log.parent.is_dir():  # nothing was ever answered
        return
    registry = CollectorRegistry()
    for name, says, value in (
        ("autopilot_run_timestamp_seconds", "When the autopilot last decided.", time.time()),
        (
            "autopilot_training_held_back",
            "1 if there is a reason to train, and a limit holds the training back.",
            held_back,
        ),
    ):
        Gauge(name, says, registry=registry).set(value)
    name, figures = prediction_log.AUTOPILOT_PROM, generate_latest(registry)
    log_sync.write_figures(PRODUCTION, name, figures)


def collect(tools: Tools, record: Record) -> Done:
    """Write the labelled rows that no training used to data/incoming."""
    commits.refuse_foreign_changes(resumed=tries(record, "collect") > 1)
    training_rows.remove_uncommitted()
    if not current().rows.exists():  # a fresh clone; new_rows() needs them
        tools.tasks.must("validate")
    # With the project's Row.
    detail = keyless.guarded(
        "rung_ops.autopilot.steps:collected", record["at"], kept=key_names.OF_LOG
    )
    if detail["rows"]:
        tools.say(f"collected {detail['rows']:,} labelled rows: {detail['file']}")
    return Done(detail)


def collected(until: str) -> dict[str, Any]:
    """Write the rows of production with a known outcome that no training used; return the step's detail."""
    known = facts.answers(PRODUCTION, datetime.fromisoformat(until))
    rows = facts.new_rows(known)
    if rows.is_empty():
        return {"rows": 0}
    return {"rows": rows.height, "file": shown(training_rows.collect(rows))}


def commit_rows(tools: Tools, record: Record) -> Done:
    """Version the new rows with DVC and commit them, so that the model can be traced to them."""
    tools.tasks.must("incoming")
    rows = journal.detail(record, "collect")["rows"]
    return Done({"commit": commits.commit(f"data: add {rows:,} labelled rows of production")})


def choose(tools: Tools, record: Record) -> Done:
    """Choose the rows that judge the version and the window it learns from; commit both."""
    if not tools.policy.window.choose:
        return Done()
    if tries(record, "choose") > 1:
        training_rows.undo()
    commits.refuse_foreign_changes(resumed=True)
    tools.tasks.must("validate")
    known = journal.detail(record, "decide")["facts"]
    # It fits the project's model.
    chosen = keyless.guarded(
        "rung_ops.autopilot.training_rows:choose",
        *(known["serving"], known, tools.policy.retrain.quality_drop),
    )
    if not chosen:
        return Done()
    for line in chosen["lines"]:
        tools.say(line)
    return Done(chosen | {"commit": training_rows.write(chosen)})


def train(tools: Tools, record: Record) -> Done:
    """Run the pipeline."""
    commits.refuse_foreign_changes(resumed=True)
    if tries(record, "train") > 1 and (adopted := _adopt()):
        tools.say(f"version {adopted} was registered already")
    tools.tasks.must("pipeline")
    return Done(last_run.read())


def commit_run(tools: Tools, record: Record) -> Done:
    """Commit the files that record the pipeline's run."""
    version = journal.detail(record, "train").get("version", "")
    return Done({"commit": commits.commit(f"pipeline: train version {version}")})


def _adopt() -> str | None:
    """Adopt a version that a killed pipeline registered and did not record: it would do so twice."""
    # Imported here because they import MLflow, and most passes do not train.
    from rung_ops.tracking import registry
    from rung_ops.tracking.last_run import origin

    here = origin()
    for version in registry.versions():
        if str(version.version) == last_run.read().get("version"):
            return None
        if all(version.tags.get(name) == here[name] for name in here):
            registry.client().set_registered_model_alias(
                version.name, registry.CHALLENGER, version.version
            )
            last_run.write_and_commit(str(version.run_id), version.name, str(version.version))
            return str(version.version)
    return None


AT_ONCE = "check its figures, then run `uv run poe deploy production RELEASE --at-once`"


def gate(tools: Tools, record: Record) -> Done:
    """Compare the new version with what serves; deploy() waits for missing decisions of people."""
    gate_rules.verdict_file().unlink(missing_ok=True)
    code = tools.tasks.run("gate")
    verdict = _read(gate_rules.verdict_file(), f"`poe gate` ended with exit code {code}")
    version = journal.detail(record, "train").get("version", "?")
    reasons, awaits = verdict.get("reasons", []), verdict.get("awaits", [])
    if code == 0 or (awaits and not reasons):
        return Done({"verdict": verdict})
    summary = f"the gate refused version {version}: {'; '.join(reasons)}"
    if rows := journal.detail(record, "collect").get("file"):
        marked = commits.mark_refused(rows, version, reasons)
        summary += f"; noted in {shown(marked)}, the file of its new rows"
    commits.publish()  # otherwise the rows count as new, and the next pass trains on them again
    return Done({"verdict": verdict, "refused": version}, outcome="refused", summary=summary)


def release(tools: Tools, record: Record) -> Done:
    """Write the version as a signed bundle, unless the project vetoes it."""
    trained = journal.detail(record, "train")
    version = trained["version"]
    facts = journal.detail(record, "decide").get("facts", {})
    verdict = journal.detail(record, "gate").get("verdict")
    version_facts = facts | {"version": version, "verdict": verdict}
    if reason := keyless.guarded("rung_ops.autopilot.steps:ask_veto", RELEASE, version_facts):
        commits.publish()  # as after a refusal
        summary = f"the project's veto against releasing version {version}: {reason}"
        return Done({"vetoed": version}, outcome=VETOED, summary=summary)
    candidate = _candidate(trained)
    if candidate is None:
        tools.tasks.must("release", version)
        candidate = _candidate(trained)
    if candidate is None:
        raise StageError(f"`poe release {version}` did not write a bundle of that version.")
    return Done({"release": candidate})


def publish(tools: Tools, record: Record) -> Done:
    """Push the commits that the release refers to, if AUTOPILOT_PUSH is set."""
    return Done({"pushed to": commits.publish()})


def deploy(tools: Tools, record: Record) -> Done:
    """Deploy the release to production, as shadow or canary by the project's rules."""
    release = journal.detail(record, "release")["release"]
    folder = paths.environment(PRODUCTION)
    if release not in production().releases() and not rollback_event(folder, release):
        file = gate_rules.verdict_file()
        if not file.exists():  # the verdict was written in another checkout
            verdict = journal.detail(record, "gate")["verdict"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(verdict, indent=2) + "\n", encoding="utf-8")
        tools.tasks.must("deploy", PRODUCTION, release)
    return _result(release)


def roll_back(tools: Tools, record: Record) -> Done:
    """Roll back the promoted release, unless that was done before."""
    known = journal.detail(record, "decide")
    bad, reason = known["facts"]["serving"], known["reasons"][0]
    # The first rollback may only end a canary or a shadow.
    while (before := production()).serving == bad:
        tools.tasks.must("rollback", PRODUCTION, "--from", bad, "--reason", reason)
        if production().generation == before.generation:
            raise StageError(f"`poe rollback` changed nothing: {bad} is still served.")
    summary = f"{bad} was rolled back; {production().serving} is served again: {reason}"
    return Done({"taken back": bad}, outcome="rolled back", summary=summary)


def end_trial(tools: Tools, record: Record) -> Done:
    """End a trial that too few requests reach, or abort that of a release that is worse."""
    known = journal.detail(record, "decide")
    trial, reason = known["facts"]["trial"], known["reasons"][0]
    release, now = trial["release"], production()
    if release not in now.on_trial:  # the next pass settles what became of it
        return Done(outcome=rules.NOTHING, summary=f"{release} is no longer on trial")
    is_worse = bool((trial.get("verdict") or {}).get("worse"))
    folder = paths.environment(PRODUCTION)
    end = state.abort if is_worse else state.end_trial
    end(folder, reason, paths.AUTOPILOT, now.generation, release)
    if is_worse:
        return Done({"aborted": release}, outcome="aborted", summary=reason)
    return Done({"ended": release}, outcome="trial ended", summary=reason)


def _result(release: str) -> Done:
    """Describe the role of a release that was just deployed, and who decides next."""
    now = production()
    arm = next((arm for arm, tried in facts.arms(now) if tried.release == release), None)
    if arm is None:
        served = now.serving == release
        summary = f"{release} {'is served in' if served else 'was removed from'} production"
        return Done({"release": release}, outcome="deployed", summary=summary)
    if rollout.read_policy() is None:
        return Done(
            {"release": release, "waits": True},
            outcome="waits for approval",
            summary=f"{release} is in {arm} and is not served until a person approves it: "
            f"{next(filter(None, (each.approval for each in active_addons.active().values())), AT_ONCE)}",
        )
    summary = f"{release} is in {arm}: the service promotes it or ends it (ops/rollout.toml)"
    return Done({"release": release}, outcome="on trial", summary=summary)


def _candidate(trained: dict[str, str]) -> str | None:
    """Return the newest candidate of a version, if any."""
    candidates = []
    for path in paths.candidates().glob(f"v{trained['version']}-*"):
        try:
            manifest = bundle.read_manifest(path)
        except bundle.BundleError:
            continue
        # Numbers of versions repeat in a registry that was recreated.
        if manifest["run_id"] == trained["run_id"]:
            candidates.append((manifest["created"], path.name))
    return max(candidates)[1] if candidates else None


# The first steps of every pass; `decide` names the next ones (THEN).
FIRST = ("look", "settle", "decide")


def all_steps(tools: Tools) -> dict[str, Step]:
    """Return all steps by name, as the journal has it."""
    work = {
        "look": look,
        "settle": settle,
        "decide": decide,
        "collect": collect,
        "commit rows": commit_rows,
        "choose": choose,
        "train": train,
        "commit run": commit_run,
        "gate": gate,
        "release": release,
        "publish": publish,
        "deploy": deploy,
        "roll back": roll_back,
        "end trial": end_trial,
    }
    return {name: partial(step, tools) for name, step in work.items()}
