"""One page that leads to all others: `uv run poe reports` writes reports/index.html, and asks no server.

Each part is read from the file that its verb wrote; a part without such a file is left out.
"""

import html as markup
import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from rung_ops.command import verb
from rung_ops.data import pipeline_graph
from rung_ops.gate import rules as gate_rules
from rung_ops.gate.verdict import name_of
from rung_ops.project import active_addons, current, paths
from rung_ops.project.paths import params, project_description, project_name, shown
from rung_ops.release import report_page, state, status
from rung_ops.statistics.intervals import finite
from rung_ops.system import html
from rung_ops.system.files import write
from rung_ops.tracking import last_run, store_address
from rung_ops.training import baseline, evaluation_page

LAYOUT = Path(__file__).with_suffix(".html")
# How the title stands in files that a browser shows.
TITLED = {
    ".html": r"<title>(.*?)</title>",
    ".md": r"(?m:^# ([^\n]+))",
    ".svg": r'aria-label="(.*?)"',
}
TITLES = {
    "report.html": "Model report",
    "features.html": "Features",
    "monitor/report.html": "Monitor",
}
MOST_VERSIONS = 50  # newest ones
MOST_TRIALS = 20  # best ones
EVENTS = 20  # newest ones of an environment


def index_file() -> Path:
    """Return the path of the page."""
    return current().reports / "index.html"


def render() -> str:
    """Render the page."""
    recorded, elsewhere = versions()
    return html.render(
        LAYOUT,
        title=project_name(),
        description=project_description(),
        now=_minute(datetime.now(UTC)),
        run=last_run.read(),
        pages=list(pages()),
        metric=params()["score"]["metric"],
        versions=recorded,
        elsewhere=elsewhere,
        verdicts=list(verdicts()),
        tuning=tuning(),
        environments=list(environments()),
        monitor=monitor(),
        sections=list(sections()),
        graph=pipeline_graph.draw(),
        graph_note=pipeline_graph.NOTE,
    )


def pages() -> Iterator[dict[str, str]]:
    """Name the pages in reports/, and those like this one of the repository's other models."""
    folder = current().reports
    titled = (path for path in sorted(folder.rglob("*")) if path.suffix in TITLED)
    own = {path.relative_to(folder).as_posix(): path for path in titled}
    # What DVC keeps is the model report without its origin.
    for name in (index_file().name, evaluation_page.KEPT):
        own.pop(name, None)
    for name in [*filter(own.__contains__, TITLES), *(name for name in own if name not in TITLES)]:
        yield _page(TITLES.get(name) or _title(own[name]), own[name])
    for home in paths.model_folders().values():
        other = home / "reports" / index_file().name
        if home != current().root and other.is_file():
            yield _page(f"Reports of {project_name(home)}", other)


def versions() -> tuple[list[dict[str, Any]], bool]:
    """List the newest versions with the runs that made them; say also whether a server has others.

    A version's report is the copy that its run keeps.
    """
    uri = store_address.tracking_uri()
    if not uri.startswith(store_address.SQLITE):
        return [], True
    if not Path(uri.removeprefix(store_address.SQLITE)).is_file():
        return [], False
    from mlflow.exceptions import MlflowException  # imported on demand, as MLflow takes seconds

    from rung_ops.tracking import registry
    from rung_ops.tracking.versions import REPORT

    store, metric, found = registry.client(), params()["score"]["metric"], []
    listed = registry.versions()[:MOST_VERSIONS]
    # A list of versions has no aliases.
    named = store.get_registered_model(listed[0].name).aliases if listed else {}
    for version in listed:
        aliases = [alias for alias, of in named.items() if str(of) == str(version.version)]
        tags, info, figures = version.tags, None, {}
        with suppress(MlflowException):  # registered by hand, or the run was deleted
            run = store.get_run(str(version.run_id))
            info, figures = run.info, run.data.metrics
        address = str(info.artifact_uri) if info else ""
        report = Path(unquote(urlsplit(address).path)) / REPORT
        created = (info.start_time if info else version.creation_timestamp) / 1000
        found.append(
            {
                "version": version.version,
                "aliases": ", ".join(aliases),
                "at": _minute(datetime.fromtimestamp(created, UTC)),
                "commit": tags.get("git_commit", "")[:8],
                "dirty": tags.get("git_dirty") == "true",
                "data": tags.get("data_hash", "")[:8],
                "figure": figures.get(metric),
                "run": version.run_id or "",
                "report": _href(report) if info and report.is_file() else "",
            }
        )
    return found, False


def verdicts() -> Iterator[dict[str, Any]]:
    """Describe the last verdict of the gate on each version, the newest first."""
    kept = paths.verdicts(paths.environment(paths.PRODUCTION))
    files = [*kept.glob("*.json"), *gate_rules.verdict_folder().glob("*.json")]
    given = [_json(path) for path in (*files, gate_rules.verdict_file())]
    given.sort(key=lambda each: str(each.get("at")))
    # A store on this machine and that of CI count versions on their own.
    found = {_verdict_id(each["challenger"]): each for each in given if each.get("challenger")}
    newest = sorted(found.values(), key=lambda each: str(each.get("at")), reverse=True)
    return map(_verdict, newest[:MOST_VERSIONS])


def _verdict_id(challenger: dict[str, Any]) -> str:
    return f"verdict-{challenger.get('run_id') or challenger.get('version', '')}"


def _verdict(verdict: dict[str, Any]) -> dict[str, Any]:
    figures = verdict.get("figures") or {}
    rows = []
    for role in ("champion", "baseline"):
        if (other := figures.get(role)) is not None:
            label = name_of(verdict.get("champion") or {})
            if role == "baseline":
                label = baseline.in_words(other.get("name", role))
            rows.append({"challenger": figures["challenger"], "rows": figures["rows"], **other})
            rows[-1]["name"] = label
    return {
        "name": name_of(verdict["challenger"]),
        "id": _verdict_id(verdict["challenger"]),
        "promote": verdict.get("promote"),
        "reasons": [*verdict.get("reasons", ()), *verdict.get("awaits", ())],
        "notes": verdict.get("notes", ()),
        "at": _at(verdict.get("at")),
        "metric": figures.get("metric"),
        "rows": rows,
        "confidence": 1 - figures.get("alpha", 0),
        "scores": figures.get("scores") or {},
    }


def tuning() -> dict[str, Any] | None:
    """Describe the last search of `poe tune`, the best trials first; None without one."""
    found = _json(current().reports / "tuning.json")
    if not found:
        return None
    trials, higher = found.get("tried") or [], params()["score"]["higher_is_better"]
    trials = [each for each in trials if _is_scored(each)]
    trials = sorted(trials, key=lambda each: each["figure"], reverse=higher)
    names = {name: None for each in trials for name in each["model"]}
    varied = [name for name in names if len({str(each["model"].get(name)) for each in trials}) > 1]
    rows = [each | {"model": [each["model"].get(name) for name in varied]} for each in trials]
    return found | {"at": _at(found.get("at")), "varied": varied, "rows": rows[:MOST_TRIALS]}


def _is_scored(trial: Any) -> bool:
    """Tell whether a trial is whole: in a file of an earlier version, its figure may be missing."""
    return (
        isinstance(trial, dict)
        and "trial" in trial
        and isinstance(trial.get("model"), dict)
        and finite(trial.get("figure")) is not None
    )


def environments() -> Iterator[dict[str, Any]]:
    """Describe what each environment serves, and its newest events."""
    for name in paths.ENVIRONMENTS:
        folder = paths.environment(name)
        if not folder.is_dir() and not paths.address(folder):
            continue
        try:
            now, events = state.read(folder), state.events(folder)[: -EVENTS - 1 : -1]
        except (state.StateError, OSError) as error:
            yield {"name": name, "fault": str(error)}
            continue
        yield {
            "name": name,
            "fault": "",
            "now": now,
            "events": [
                {
                    "at": _at(event["at"]),
                    "event": event["event"],
                    "detail": status.detail(event),
                    "by": event["by"],
                }
                for event in events
            ],
        }


def monitor() -> dict[str, Any] | None:
    """Describe what the monitor found the last time; None if it never ran."""
    found = _json(current().reports / "monitor/status.json")
    if not found:
        return None
    return {
        "problems": found.get("problems") or [],
        "not_judged": found.get("not_judged") or [],
        "rows": found.get("rows") or 0,
        "release": found.get("release"),
        "at": _at(found.get("at")),
    }


def sections() -> Iterator[tuple[str, dict[str, Any]]]:
    """Read what add-ons bring to the page: headings, with the JSON that their sentences are in."""
    for addon in active_addons.active().values():
        for heading, name in addon.report_sections.items():
            if found := _json(current().reports / name):
                yield heading, found


def _page(title: str, path: Path) -> dict[str, str]:
    written = _minute(datetime.fromtimestamp(path.stat().st_mtime, UTC))
    return {"title": title, "href": _href(path), "name": shown(path), "written": written}


def _title(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as opened:
        found = re.search(TITLED[path.suffix], opened.read(10_000), re.DOTALL)
    return markup.unescape(found[1]).strip() if found else path.stem


def _href(path: Path) -> str:
    return quote(Path(os.path.relpath(path, current().reports)).as_posix())


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _at(text: Any) -> str:
    try:
        return _minute(datetime.fromisoformat(text))
    except (TypeError, ValueError):
        return ""


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


@verb("poe reports")
def main() -> int:
    """Write reports/index.html: versions, gate, releases, monitor, add-ons, and links to their pages."""
    index_file().parent.mkdir(exist_ok=True)
    report_page.refresh()
    write(index_file(), render().encode())
    print(f"Open {shown(index_file())} in a browser.")
    return 0
