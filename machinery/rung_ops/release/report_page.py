"""reports/report.html, the page that people open: what DVC keeps of it, with version, commit and champion.

DVC's output must not change where data and code do not, so it names none of them (decision 71).
"""

import re
import sys
from contextlib import suppress

from markupsafe import Markup

from rung_ops.command import verb
from rung_ops.data import dvc, pipeline_graph
from rung_ops.project import current
from rung_ops.system import files
from rung_ops.training import evaluation_page
from rung_ops.training.evaluation_page import ChampionFigures


def run_dvc(arguments: list[str] | None = None) -> int:
    """Run DVC as its own command does; then let report.html be that of the evaluation which is here."""
    words = sys.argv[1:] if arguments is None else arguments
    code = dvc.main(words)
    if code == 0 and words[:1] == ["repro"] and "--dry" not in words:
        refresh()
    return code


@verb("rung-ops track")
def track() -> int:
    """Record the run in MLflow and register its model as the challenger."""
    from rung_ops.tracking import record_run

    code = record_run.main([])
    if code == 0:
        write()
    return code


def refresh() -> None:
    """Write report.html again if DVC restored another evaluation; draw the times of the stages."""
    if not _is_kept():
        return
    if not evaluation_page.is_current():
        write()
    section = Markup('<section id="pipeline">\n{}\n<p class="note">{}</p>\n</section>').format(
        pipeline_graph.draw(), pipeline_graph.NOTE
    )
    page = current().report.read_text(encoding="utf-8")
    timed = re.sub(
        r'<section id="pipeline">.*?</section>', lambda _: section, page, flags=re.DOTALL
    )
    if timed != page:
        files.write(current().report, timed.encode())


def write() -> None:
    """Write report.html from the evaluation that is here, with its version and the champion's figures.

    Where the registry cannot be asked, the page has neither.
    """
    if not _is_kept():
        return
    from rung_ops.tracking import registry  # imported on demand, as MLflow takes seconds

    origin, champion = None, None
    with suppress(registry.MlflowException):
        origin = _recorded()
        champion = _champion()
    page = evaluation_page.kept().read_text(encoding="utf-8")
    page = evaluation_page.stamped(page, origin or evaluation_page.unversioned(), champion)
    files.write(current().report, page.encode())


def _is_kept() -> bool:
    """Tell whether DVC has a page of the evaluation from which report.html is made."""
    return evaluation_page.kept() != current().report and evaluation_page.kept().is_file()


def _recorded() -> Markup | None:
    """Say which version the evaluation that is here is of; None if it is of none."""
    from rung_ops.tracking import last_run, registry

    number = last_run.read().get("version")
    if number is None:
        return None
    version = registry.version(number)
    tags = version.tags
    if last_run.newer(tags | {"version": number}) or tags["data_hash"] != last_run.data_hash():
        return None
    return evaluation_page.origin_in_words(
        f"Version {number}, recorded",
        tags["git_commit"],
        tags["git_dirty"] == "true",
        tags["data_hash"],
        version.creation_timestamp / 1000,
    )


def _champion() -> ChampionFigures | None:
    """Return what the run of the champion recorded: that of production, else the registry's; None if none."""
    from rung_ops.release import state
    from rung_ops.tracking import last_run, registry, versions

    manifest = state.served_manifest()
    wanted = registry.CHAMPION if manifest is None else str(manifest["version"])
    try:
        version = registry.version(wanted)
    except registry.NoVersionError:
        return None
    if manifest is not None and manifest.get("run_id") != version.run_id:
        return None  # it was released from another store, which counts versions on its own
    figures = registry.client().get_run(str(version.run_id)).data.metrics
    same = version.tags.get("data_hash") == last_run.data_hash()
    same = same and not [*versions.other_split(version)]
    name = f"Champion (version {version.version})"
    whose = "the same test rows" if same else "its own test rows; a gate compares both on the same"
    return ChampionFigures(name, figures, f"{name}: the figures of its run, on {whose}.")
