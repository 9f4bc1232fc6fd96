"""A recorded run can be found again, with everything it was made from."""

import json
import re
import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import unquote

import mlflow
import numpy as np
import polars as pl
import pytest

from machinery.tests.conftest import LogCapture, Patch, RunVerb
from machinery.tests.in_project import fit
from machinery.tests.projects import moved
from rung_ops import contract, reports
from rung_ops.data.ingest import sample_rows
from rung_ops.model import bundle
from rung_ops.project import current, paths
from rung_ops.project.paths import params
from rung_ops.release import lineage, report_page, rollback, state
from rung_ops.tracking import last_run, record_run, registry, versions
from rung_ops.training import estimator, evaluation_page

TAGS = {
    "git_commit": "a" * 40,
    "git_author": "Ada Lovelace <ada@example.org>",
    "git_dirty": "false",
    "data_hash": "b" * 32,
    "params_hash": "c" * 64,
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Two versions in a store of their own."""
    folder = tmp_path_factory.mktemp("store")
    rows = sample_rows()
    rows = rows.sample(min(500, rows.height), seed=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        here = moved(
            patch,
            rows=folder / "rows",
            model_file=folder / "model",
            metrics=folder / "metrics",
            report=folder / "report.html",
            reports=folder / "reports",
        )
        rows.write_parquet(here.rows)
        estimator.save(fit(rows), here.model_file)
        here.metrics.write_text(json.dumps({params()["score"]["metric"]: 0.5}))
        here.report.write_text(
            '<title>Report</title>\n<p class="lead" id="version">In the copy\nof each version.</p>\n'
        )
        record_run.record(TAGS)
        yield record_run.record(TAGS | {"git_commit": "d" * 40})


@pytest.mark.parametrize(
    ("value", "dtype", "known_as"),
    [
        (date(2026, 1, 31), pl.Date, "datetime"),
        ("a", pl.Categorical, "string"),
        (7, pl.UInt32, "long"),
        (2**64 - 1, pl.UInt64, "double"),
        (Decimal("1.5"), pl.Decimal(10, 2), "double"),
        (timedelta(days=1), pl.Duration, "long"),
    ],
)
def test_a_column_of_any_type_is_recorded_without_a_warning(
    caplog: LogCapture, value: object, dtype: pl.DataType, known_as: str
) -> None:
    rows = pl.DataFrame({contract.TARGET: [1.0, 0.0], "column": [value, None]})

    schema = record_run.dataset(rows.lazy().cast({"column": dtype}), "c" * 8).schema

    assert schema.input_dict()["column"].type.name == known_as
    assert caplog.messages == []


def test_the_newest_version_is_the_challenger(made: dict[str, str]) -> None:
    assert made["version"] == "2"
    assert registry.version("challenger").version == 2
    assert [int(each.version) for each in registry.versions()] == [2, 1]


def test_a_version_and_its_run_say_what_they_were_made_from(made: dict[str, str]) -> None:
    run = registry.client().get_run(made["run_id"])

    tags = registry.version("1").tags
    model_hash = versions.model_digest(registry.version("1"))
    hashes = {"model_hash": model_hash, "model_file": bundle.digest(current().model_file)}
    hashes["source_hash"] = bundle.source_hash_of_folder(current().root, contract.package())
    assert tags == TAGS | hashes and len(model_hash) == 64
    assert run.data.tags["model_hash"] == versions.model_digest(registry.version("2"))
    assert run.data.tags["git_commit"] == "d" * 40
    (rows,) = (json.loads(each.dataset.profile) for each in run.inputs.dataset_inputs)
    assert rows == {"num_rows": 500, "num_elements": 500 * len(contract.Row.to_schema().columns)}
    first, second = (versions.origin_of(registry.version(number)) for number in ("1", "2"))
    assert versions.changes(second | {"source_hash": "e" * 64}, first) == (
        "changed: source; the same: parameters, data; not recorded: the model's predictions"
    )
    assert run.data.params["seed"] == str(params()["seed"])
    assert run.data.metrics[params()["score"]["metric"]] == 0.5


def test_the_report_of_a_version_says_what_it_was_made_from(made: dict[str, str]) -> None:
    """Neither number nor run, which `poe track-sync` changes."""
    store = registry.client()
    address = store.get_run(made["run_id"]).info.artifact_uri

    page = mlflow.artifacts.load_text(f"{address}/{versions.REPORT}")

    assert "<title>Report</title>" in page and "copy" not in page
    assert re.search(r"ecorded \d{4}-\d\d-\d\d \d\d:\d\d UTC", page)
    assert "d" * 40 in page and "b" * 32 in page
    assert "Version 2" not in page and made["run_id"] not in page
    assert "uncommitted" not in page


def test_lineage_prints_commit_data_and_parameters(made: dict[str, str], run_verb: RunVerb) -> None:
    code, output = run_verb(lineage.main, "1")

    assert code == 0
    assert TAGS["git_commit"] in output
    assert TAGS["data_hash"] in output
    assert f"seed = {params()['seed']}" in output


def test_lineage_of_an_unknown_version_names_those_there_are(
    made: dict[str, str], run_verb: RunVerb
) -> None:
    code, output = run_verb(lineage.main, "99")

    assert code == 1
    assert "the registry has 2, 1" in output
    assert "on the machine that recorded them" in output


def test_an_empty_registry_says_where_the_runs_of_others_are(
    tmp_path: Path, monkeypatch: Patch, run_verb: RunVerb
) -> None:
    """A colleague's clone has the commits of a version, and none of its runs."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")

    code, output = run_verb(lineage.main, "1")

    assert code == 1
    assert f"{tmp_path}/mlflow.db" in output
    assert "on the machine that recorded them" in output
    assert "MLFLOW_TRACKING_URI" in output


@pytest.fixture
def champion(made: dict[str, str]) -> Iterator[None]:
    """The alias `champion`, at version 2."""
    registry.client().set_registered_model_alias(made["model"], registry.CHAMPION, "2")
    yield
    registry.client().delete_registered_model_alias(made["model"], registry.CHAMPION)


@pytest.fixture
def production(tmp_path: Path, monkeypatch: Patch) -> Path:
    """Production, which serves version 1 again after a rollback of version 2."""
    monkeypatch.setenv("RELEASES", str(tmp_path / "releases"))
    folder = paths.environment(paths.PRODUCTION)
    for number in ("1", "2"):
        bundle_folder = paths.bundle(folder, f"v{number}")
        bundle_folder.mkdir(parents=True)
        required = {name: kind() for name, kind in bundle.REQUIRED.items()}
        manifest = required | {"schema": bundle.SCHEMA, "version": number}
        (bundle_folder / bundle.MANIFEST).write_text(json.dumps(manifest))
        state.serve(folder, f"v{number}", "Ada")
    return folder


def test_the_champion_is_what_production_serves_after_a_rollback(
    champion: None, production: Path, run_verb: RunVerb
) -> None:
    code, before = run_verb(lineage.main, "champion")
    rollback.roll_back(production, "Ada", "too many late answers")
    again, after = run_verb(lineage.main, "champion")

    moved_on = "Production serves version 1; the alias `champion` is at version 2"
    assert (code, again) == (0, 0)
    assert "version 2" in before.splitlines()[0] and moved_on not in before
    assert "version 1" in after.splitlines()[0] and moved_on in after


def test_a_champion_without_an_environment_at_hand_is_that_of_the_alias(
    champion: None, tmp_path: Path, monkeypatch: Patch, run_verb: RunVerb
) -> None:
    monkeypatch.setenv("RELEASES", str(tmp_path / "none"))
    code, output = run_verb(lineage.main, "champion")

    assert (code, "version 2" in output.splitlines()[0]) == (0, True)
    assert not (tmp_path / "none").exists()


def test_report_html_has_version_and_champion_of_the_evaluation_that_is_here(
    champion: None, made: dict[str, str], tmp_path: Path, monkeypatch: Patch
) -> None:
    kept, metric = tmp_path / "evaluation.html", params()["score"]["metric"]
    kept.write_text(
        f'<p class="lead" id="version">In\nreport.html</p><!--champion-->|<!--champion {metric}-->'
        "|<!--champion other-->|<!--champion's rows-->"
    )
    monkeypatch.setattr(evaluation_page, "kept", lambda: kept)
    monkeypatch.setattr(last_run, "newer", lambda facts: [])
    monkeypatch.setattr(last_run, "data_hash", lambda: TAGS["data_hash"])
    last_run.write(**made)

    def page() -> str:
        report_page.refresh()
        return current().report.read_text()

    first = page()
    assert "Version 2, recorded" in first and "d" * 40 in first and "id=" not in first
    assert (
        ">Champion (version 2)</th>|<td>0.5000</td>|<td>&ndash;</td>| Champion (version 2): the"
        in first
    )
    assert "on the same test rows" in first

    kept.write_text(kept.read_text() + "of other rows")
    monkeypatch.setattr(last_run, "data_hash", lambda: "e" * 32)
    released = {"version": "1", "run_id": registry.version("1").run_id}
    monkeypatch.setattr(state, "served_manifest", lambda: released)
    second = page()
    assert "Not versioned yet" in second and "Champion (version 1)" in second
    assert "on its own test rows" in second
    assert page() == second

    released["run_id"] = "of another store"
    report_page.write()
    assert "Champion" not in current().report.read_text()


def test_the_page_of_reports_leads_to_all_that_is_on_file(
    champion: None, production: Path, made: dict[str, str], run_verb: RunVerb
) -> None:
    folder, state_file = current().reports, production / state.STATE
    figures = {"metric": "auc", "rows": 500, "alpha": 0.05, "challenger": 0.61}
    figures |= {"champion": {"figure": 0.6, "gain": 0.01, "gain_low": -0.02, "gain_high": 0.04}}
    figures |= {"scores": {"challenger": {"auc": 0.61, "brier": 0.2}, "champion": {"auc": 0.6}}}
    verdict = {"promote": False, "reasons": ["worse <b>"], "figures": figures}
    judged = {"version": "2", "run_id": made["run_id"]}
    verdict |= {"challenger": judged, "champion": {"release": "v1-a"}}
    trials = [(1, 0.7, 3), (2, 0.9, 5)]
    tuned = {"trials": 2, "today": 0.8, "best": 0.9, "at": "2026-03-01T00:00:00+00:00"}
    tuned["tried"] = [
        {"trial": number, "figure": score, "model": {"depth": depth, "same": 1}}
        for number, score, depth in trials
    ]
    tuned["tried"] += [{"trial": 3, "figure": None, "model": {}}, {}, "[", {"figure": 1}]
    files = {
        "gate.json": json.dumps(verdict | {"at": "2026-03-02T00:00:00+00:00"}),
        "gate/version-2.json": json.dumps(verdict | {"at": "2026-03-02T00:00:00+00:00"}),
        "gate/version-1.json": json.dumps(
            {"promote": True, "challenger": {"version": "1"}, "at": "2026-03-01T00:00:00+00:00"}
        ),
        "tuning.json": json.dumps(tuned),
        "monitor/report.html": "<title>ours</title>",
        "monitor/status.json": '{"problems": ["drifted"], "rows": 9, "release": "v1", "at": ""}',
        "replay/timeline.html": "<title>Replay of ours</title>",
        "replay/timeline.json": '{"lead": "Of <6> months,", "outcome": "`3` were better."}',
        "house/own page.html": "<title>Our &amp; own</title>",
        "model_card.md": "Below it:\n# Card of <ours>\n## Use\n",
        "explanations.svg": '<svg aria-label="What &amp; why"><title>a bar</title></svg>',
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)

    in_ci = {"promote": True, "challenger": {"version": "1", "run_id": "c" * 32}}
    in_ci |= {"at": "2026-02-01T00:00:00+00:00"}
    paths.verdicts(production).mkdir()
    (paths.verdicts(production) / "v7-a.json").write_text(json.dumps(in_ci))

    code, output = run_verb(reports.main)
    page = (folder / "index.html").read_text()

    links = [unquote(link) for link in re.findall(r'<a href="(.*?)"', page)]
    assert (code, output) == (0, f"Open {folder}/index.html in a browser.\n")
    assert {name for name in files if not name.endswith(".json")} <= set(links)
    assert ">Card of &lt;ours&gt;</a>" in page and ">What &amp; why</a>" in page
    to_verdicts = [link for link in links if link.startswith("#")]
    links = [link for link in links if not link.startswith("#")]
    assert 2 == sum("artifacts/reports/report.html" in link for link in links)
    assert all((folder / link).is_file() for link in links)
    assert "<td>challenger, champion</td>" in page and "<code>dddddddd</code>" in page
    assert "Refused: version 2" in page and "worse &lt;b&gt;" in page and "v1-a" in page
    assert "+0.01" in page and "−0.0200 to +0.0400" in page and "0.2</td>" in page
    assert [f"#verdict-{made['run_id']}"] == to_verdicts  # those on version 1 are of other stores
    assert 1 == page.count(f'id="verdict-{made["run_id"]}"')
    order = ["Refused: version 2", "Passed: version 1</strong>, 2026-03-01"]
    order.append("Passed: version 1</strong>, 2026-02-01")
    assert order == sorted(order, key=page.index)
    tried = re.findall(r'<tr><td class="number">(\d)</td><td class="number">(.*?)</td>', page)
    higher = params()["score"]["higher_is_better"]
    assert tried == sorted([("1", "0.7000"), ("2", "0.9000")], reverse=higher)
    assert ">depth</th>" in page and ">same</th>" not in page
    assert "Serves v2; before v1." in page
    assert "<h2>Replay</h2>\n<p>Of &lt;6&gt; months, <code>3</code> were better.</p>" in page
    assert "1 problem" in page and "Our &amp; own" in page

    for file in (*(folder / name for name in files if name.endswith(".json")), state_file):
        file.write_text("[")
    assert 0 == run_verb(reports.main)[0]
    assert "<h2>Replay" not in reports.render()
    assert "Refused" not in (page := reports.render()) and "state.json" in page


def test_the_page_of_reports_asks_no_server(made: dict[str, str], monkeypatch: Patch) -> None:
    address = "https://ada:secret@tracking.example"  # pragma: allowlist secret
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)

    page = reports.render()

    assert "The tracking server has" in page and "secret" not in page


def test_the_registered_model_answers_as_the_saved_one(made: dict[str, str]) -> None:
    rows = pl.read_parquet(current().rows)
    uri = f"models:/{made['model']}@challenger"
    registry.client()  # MLflow reads from the store of the last client, which may be another test's
    loaded = mlflow.sklearn.load_model(uri)

    expected = estimator.predict(estimator.load(current().model_file), rows)

    np.testing.assert_array_equal(expected, estimator.predict(loaded, rows))
    assert mlflow.models.get_model_info(uri).signature is not None


def test_a_store_that_was_moved_still_finds_its_models(
    made: dict[str, str], tmp_path: Path, monkeypatch: Patch
) -> None:
    """As the registry of one CI job does, that another one downloads."""
    home = current().rows.parent
    folder = shutil.move(home, tmp_path / "elsewhere")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")

    try:
        registry.client()
        result = mlflow.artifacts.download_artifacts(
            f"models:/{made['model']}/2", dst_path=str(tmp_path / "model")
        )
    finally:
        shutil.move(folder, home)  # for the tests that come after this one

    assert list(Path(result).rglob("*.skops"))
