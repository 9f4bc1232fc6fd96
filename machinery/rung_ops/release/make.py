"""Writing a version of the registry as a signed release: `uv run poe release [VERSION or alias]`."""

import importlib
import importlib.metadata
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import click
import numpy as np
import polars as pl

from rung_ops import contract
from rung_ops.command import Verb, verb
from rung_ops.contract import forecast, synthetic
from rung_ops.errors import OpsError, SettingsError, VersionError
from rung_ops.model import bundle, reasons, released, row_path, source_import
from rung_ops.model.bundle import FACTS, LATER_FACTS, BundleError, verify
from rung_ops.model.columns import dtype_of
from rung_ops.model.predictors import (
    EncodedBooster,
    Predictor,
    row_predictor,
)
from rung_ops.model.reasons import (
    TOLERANCE,
    AdditiveEffects,
    Effects,
    adverse_in,
    difference_of_effects,
)
from rung_ops.model.row_path import UntranslatedError
from rung_ops.model.rows import Refusal
from rung_ops.model.target import MULTICLASS, columns, finite_rows, kind_in
from rung_ops.project import active_addons, paths
from rung_ops.project.paths import params, shown
from rung_ops.release import contract_file, export, signing
from rung_ops.release.contract_file import refuse_without_values
from rung_ops.release.export import sample_rows, write_json
from rung_ops.statistics import drift
from rung_ops.system import files
from rung_ops.system.printable import printable
from rung_ops.training import estimator, window

# Packages whose versions may change predictions.
PACKAGES = (
    *("lightgbm", "numpy", "onnx", "onnxmltools", "onnxruntime", "polars", "scikit-learn"),
    *("skl2onnx", "skops"),
)
# Of the reference: spans are whole weeks, as days of a week differ.
SPAN, LEAST_ROWS = timedelta(days=28), 250
# As in ops/monitor.toml of a new project. What is found by chance costs rows of the reference, no more.
FALSE_ALARMS, LEAST_CHANGE = 0.01, 0.05
# Of the reasons: training rows of which the means are taken, and rows that the effects are tried on.
BACKGROUND_ROWS, TRIED_ROWS = 200_000, 2_000


@dataclass(frozen=True)
class Trained:
    """An estimator with the rows and the code that it was made with.

    Attributes:
        train, test: rows of Row that it was trained on, and those that judged its settings.
        expressions: FEATURES of the copied source.
        contract: content of contract.json.
        seed: of params.toml.
    """

    model: Any
    train: pl.DataFrame
    test: pl.DataFrame
    expressions: list[pl.Expr]
    contract: dict[str, Any]
    seed: int

    @cached_property
    def held_out(self) -> pl.DataFrame:
        """The held-out rows without the target."""
        return self.test.drop(self.contract["target"])

    @cached_property
    def known(self) -> pl.DataFrame:
        """All rows without the target, the held-out ones first."""
        return pl.concat([self.held_out, self.train.select(self.held_out.columns)])


def fill(
    staged: Path,
    model: Any,
    train: pl.DataFrame,
    test: pl.DataFrame,
    facts: Mapping[str, Any],
    documents: Mapping[str, str],
    refitted: Any = None,
) -> None:
    """Write the files of a release and its manifest beside its source; see write()."""
    package = contract.package()
    # Use the copied source only: src/ of the project may have changed.
    learned, served = (
        (train, model) if refitted is None else (window.all_rows(train, test), refitted)
    )
    trained = _trained(staged, package, served, learned, test)
    task = trained.contract["task"]
    write_json(staged / bundle.CONTRACT, trained.contract)
    carried = _carried(trained)
    tested, unanswered = export.trial_rows(
        *(served, trained.held_out, train, carried, trained.expressions),
        *(trained.contract["columns"], trained.seed),
    )
    check = _parity_check(served, tested, task)
    chosen, formats = export.export(staged, package, served, check, task)
    write_json(staged / bundle.REASONS, _reasons(trained, tested, chosen, formats))
    predictions = estimator.predict_features(served, carried.select(trained.expressions))
    # Where there are several numbers, the column holds arrays: in the order of the contract.
    with_predictions = carried.with_columns(prediction=predictions.astype(np.float64))
    with_predictions.write_parquet(staged / bundle.PARITY)
    _reference(trained).write_parquet(staged / bundle.REFERENCE)
    write_json(staged / bundle.METRICS, _metrics(model, trained))
    for name, text in documents.items():
        (staged / name).write_text(text, encoding="utf-8")
    manifest = _origin(staged.name, facts, trained) | {
        "refit": refitted is not None,
        "package": package,
        "format": chosen.format,
        "row_features": _row_features(trained, chosen),
        "task": task,
        "parity": {
            "rows": tested.height,
            "max_difference": chosen.max_difference,
            "tolerance": check.tolerance,
            "formats": [each.to_manifest() for each in formats],
            "unanswered": unanswered,
        },
        "files": bundle.files_of(staged),
    }
    write_json(staged / bundle.MANIFEST, manifest)


def _trained(
    staged: Path, package: str, model: Any, train: pl.DataFrame, test: pl.DataFrame
) -> Trained:
    dataset = source_import.module_of(staged, package, "dataset")
    expressions = source_import.features_of(staged, package)
    task = estimator.task(model)
    named = params().get("report", {}).get("positive", dataset.TARGET)
    positive = str(named) if task == "classification" else None
    described = contract_file.contract(
        *(dataset, train.head(1).select(expressions), train, task, positive),
        source_import.entity_features_of(staged, package),
    )
    return Trained(model, train, test, expressions, described, params()["seed"])


def _parity_check(model: Any, tested: pl.DataFrame, task: str) -> export.ParityCheck:
    expected = estimator.predict_features(model, tested)
    if not np.isfinite(expected).all():
        bad = int((~finite_rows(expected)).sum())
        raise VersionError(
            f"The model has no finite prediction for {bad:,} of {len(expected):,} rows."
        )
    return export.ParityCheck(tested, expected, export.tolerance_of(expected, task))


def _reasons(
    trained: Trained,
    tested: pl.DataFrame,
    chosen: export.FormatResult,
    formats: list[export.FormatResult],
) -> dict[str, Any]:
    trees = next((each.predict for each in formats if each.ok and each.format == "lightgbm"), None)
    return describe_reasons(
        *(trained.contract, trained.expressions, trained.train, tested),
        *(chosen.predict, trees, params().get("reasons", {})),
    )


def _reference(trained: Trained) -> pl.DataFrame:
    """Sample features and predictions of training for the monitor, each column shuffled."""
    rows = export.sample_rows(trained.train, export.REFERENCE_ROWS, trained.seed)
    reference = _with_predictions(trained, rows)
    time = trained.contract["time"]
    if forecast.has_time(rows) and (since := since_change(reference, rows[time])):
        newest = trained.train.filter(pl.col(time) >= since)
        rows = export.sample_rows(newest, export.REFERENCE_ROWS, trained.seed)
        reference = _with_predictions(trained, rows)
    # The monitor compares each column for itself, so none of them need stay beside another.
    return synthetic.shuffled(reference, trained.seed)


def _with_predictions(trained: Trained, rows: pl.DataFrame) -> pl.DataFrame:
    features = rows.select(trained.expressions)
    predicted = estimator.predict_features(trained.model, features)
    return features.with_columns(columns(predicted, kind_in(trained.contract))[0])


def since_change(rows: pl.DataFrame, times: pl.Series) -> date | None:
    """Find the moment since which rows, features and predictions, are alike; None if all are.

    A version that learned a changed world would else be told of that change for as long as its older
    rows outnumber the newer ones, and be trained again each time.

    The newest span is compared with the one before; if they are alike, both with two before, and so on.
    """
    first, newest = times.min(), times.max()
    span = SPAN
    while (since := newest - span) > first:  # type: ignore[operator]
        new = rows.filter(times >= since)
        old = rows.filter((times < since) & (times >= since - span))
        if min(new.height, old.height) >= LEAST_ROWS and _differ(old, new):
            return since  # type: ignore[return-value]
        span *= 2
    return None


def _differ(old: pl.DataFrame, new: pl.DataFrame) -> bool:
    compared = drift.compare(old, new)
    tests = compared["p_value"].count()
    changed = drift.changed(FALSE_ALARMS / max(1, tests), LEAST_CHANGE)
    return not compared.filter(changed).is_empty()


def describe_reasons(
    contract: dict[str, Any],
    expressions: list[pl.Expr],
    train: pl.DataFrame,
    tried: pl.DataFrame,
    predict: Predictor,
    trees: Predictor | None,
    settings: dict[str, Any],
) -> dict[str, Any]:
    """Find out how a model can be explained: the content of reasons.json.

    Args:
        contract: content of contract.json.
        expressions: FEATURES.
        train: rows that the model was trained on.
        tried: features of rows to try the effects on, shape (n_rows, n_features).
        predict: the model that will answer; `trees` is the same in LightGBM's format, if it has one.
        settings: [reasons] of params.toml.

    Returns:
        `method`: trees or additive, or none with `why`; `adverse`: which predictions are
        unfavourable, high or low, or a list of classes; `columns` of the contract by feature;
        `max_difference` of the effects' sum to the predictions; for additive, the `means` of the
        features' terms over `background_rows` training rows.
    """
    task = contract["task"]
    try:
        unfavourable = adverse_in({"reasons": settings}, contract.get("classes") or ())
    except SettingsError as error:
        raise BundleError(str(error)) from error
    if unfavourable is None:
        what, values = "predictions", '"high" or "low"'
        if task == MULTICLASS:
            what, values = "classes", "a list of them"
        why = (
            f"params.toml does not say which {what} are unfavourable: set `adverse` under [reasons] "
            f"to {values}, train, and release again"
        )
        return {"method": "none", "why": why}
    if tried.height > TRIED_ROWS:  # the last rows are those at the edges of the contract
        tried = pl.concat([tried.head(TRIED_ROWS // 2), tried.tail(TRIED_ROWS // 2)])
    try:
        if isinstance(trees, EncodedBooster):
            method, found = "trees", _of_trees(trees, tried, predict, task)
        else:
            method, found = "additive", _of_additive(predict, tried, contract, expressions, train)
    except VersionError as error:
        return {"method": "none", "why": str(error)}
    columns = columns_by_feature(expressions, contract, train)
    return {"method": method, "adverse": unfavourable, "columns": columns, **found}


def _of_trees(
    trees: EncodedBooster, tried: pl.DataFrame, predict: Predictor, task: str
) -> dict[str, Any]:
    off = _difference(trees.effects, tried, predict, task)
    if off > TOLERANCE:
        margin = "log-odds" if task in ("classification", MULTICLASS) else "predictions"
        raise VersionError(f"the trees' scores are not its {margin} (difference: {off:.2g})")
    return {"max_difference": off}


def _of_additive(
    predict: Predictor,
    tried: pl.DataFrame,
    contract: dict[str, Any],
    expressions: list[pl.Expr],
    train: pl.DataFrame,
) -> dict[str, Any]:
    task = contract["task"]
    try:
        additive = AdditiveEffects(predict, task, reasons.typical(contract, expressions))
    except Refusal as refusal:
        raise VersionError(f"the contract's example is not a row of it: {refusal}") from refusal
    off = _difference(additive, tried, predict, task)
    if off > TOLERANCE:
        raise VersionError(
            "its model is neither LightGBM nor additive: the effects of single features differ by "
            f"{off:.2g} from its predictions"
        )
    background = sample_rows(train, BACKGROUND_ROWS, 0).select(expressions)
    means = {name: _mean(additive, background[name]) for name in background.columns}
    return {"max_difference": off, "background_rows": background.height, "means": means}


def columns_by_feature(
    expressions: list[pl.Expr], contract: dict[str, Any], rows: pl.DataFrame
) -> dict[str, list[str]]:
    """Name the columns that each feature is made of, in the contract's order."""
    names = [column["name"] for column in contract["columns"]]
    columns_of_features: dict[str, list[str]] = {}
    for expression in expressions:
        roots = set(expression.meta.root_names())
        for feature in rows.head(1).select(expression).columns:
            if not roots and feature in names:  # pl.col("a", "b") has no single root
                columns_of_features[feature] = [feature]
            else:
                columns_of_features[feature] = [name for name in names if name in roots] or names
    return columns_of_features


def _difference(effects_of: Effects, rows: pl.DataFrame, predict: Predictor, task: str) -> float:
    difference = difference_of_effects(effects_of(rows), predict(rows), task)
    return float(np.nan_to_num(difference, nan=np.inf).max())


def _mean(additive: AdditiveEffects, values: pl.Series) -> float | list[float]:
    counted = values.alias("value").value_counts().sort("value")
    terms = additive.terms(values.name, counted["value"])
    average = np.average(terms, axis=0, weights=counted["count"].to_numpy())
    return average.tolist()  # type: ignore[no-any-return]  # of several classes a number each


def _metrics(judged: Any, trained: Trained) -> Any:
    """Score the model that has not learned from the test rows, also where another one serves."""
    predicted = estimator.predict_features(judged, trained.test.select(trained.expressions))
    return contract.score(estimator.truth(trained.test), predicted)


def _origin(released: str, facts: Mapping[str, Any], trained: Trained) -> dict[str, Any]:
    time = trained.contract["time"]
    (_, learned_until), (judged_from, judged_until) = (
        [rows[time].min(), rows[time].max()] if time else [None, None]
        for rows in (trained.train, trained.test)
    )
    known = [moment for moment in (learned_until, judged_until) if moment is not None]
    return {
        "schema": bundle.SCHEMA,
        "id": released,
        **{name: facts[name] for name in FACTS},
        **{name: facts[name] for name in LATER_FACTS if facts.get(name)},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "trained_until": _iso(learned_until),
        "training_rows": trained.train.height,
        "judged_from": _iso(judged_from),
        "judged_until": _iso(judged_until),
        "data_until": _iso(max(known, default=None)),
        "packages": _versions(),
        "library": dict(active_addons.running_library()),
    }


def _iso(moment: Any) -> str | None:
    return moment.isoformat() if moment is not None else None


def _carried(trained: Trained) -> pl.DataFrame:
    """Draw the rows that the bundle carries: no person's, and the model predicts them."""
    columns = trained.contract["columns"]
    known = trained.known.select([column["name"] for column in columns])
    drawn = synthetic.rows(known, columns, export.PARITY_ROWS, trained.seed)
    answers = export.predictable_rows(trained.model, drawn, trained.expressions, columns)
    if not answers.height:
        raise VersionError(
            "The model has no finite prediction for any row whose columns are drawn each for itself, "
            "and a release carries such rows to be checked by."
        )
    return answers


def _row_features(trained: Trained, chosen: export.FormatResult) -> dict[str, Any]:
    """Say whether the service may compute features of few rows without polars; else why not."""
    columns = trained.contract["columns"]
    schema = {each["name"]: dtype_of(each["polars"]) for each in columns}
    rows = export.sample_rows(trained.known, export.REFERENCE_ROWS, trained.seed)
    try:
        features = row_path.contract_features(trained.expressions, trained.contract, schema, rows)
    except UntranslatedError as error:
        return {"used": False, "reason": str(error)}
    if row_predictor(chosen.predict, features.schema) is None:
        return {"used": False, "reason": f"a model in {chosen.format} takes frames"}
    return {"used": True, "reason": None}


def _versions() -> dict[str, str]:
    versions = {}
    for name in PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def write(
    folder: Path,
    estimator: Any,
    train: pl.DataFrame,
    test: pl.DataFrame,
    facts: Mapping[str, Any],
    private_key: bytes | None,
    documents: Mapping[str, str] | None = None,
    source: Path | None = None,
    refitted: Any = None,
) -> Path:
    """Write a release into a folder of releases: load-tested and signed, or not at all.

    Args:
        folder: the parent folder; a release of the same id is replaced.
        estimator: the fitted estimator that the gate judged; the figures are its own.
        train, test: rows of Row that it was trained on, and held-out rows.
        facts: model, version, run_id, git_commit, git_author, git_dirty, data_hash, params_hash.
        private_key: PEM text of the signing key; None leaves it unsigned, for `rung-ops sign`.
        documents: text of further files by name, such as slices.json, comparison.json, card.md.
        source: the user's package as it was at training; by default the one in use.
        refitted: the estimator with the same settings, fitted to window.all_rows() of these rows, that
            is released; by default the one that was judged.

    Returns:
        The folder of the release.

    Raises:
        BundleError: the service would refuse it, for example as its entity features are not in the store.
        VersionError: the model cannot be written in any format, Row has a column that a request cannot
            hold, or the key cannot sign.
    """
    # The load test needs a signature, so it is signed with a throw-away key.
    key = private_key or signing.new_key()
    public_key = signing.public_key_of(key)
    name = bundle.release_id(facts["version"], facts["git_commit"], facts["data_hash"])
    with files.draft_folder(folder) as draft:
        staged = draft / name
        used = Path(importlib.import_module(contract.Row.__module__).__file__ or "").parent
        shutil.copytree(
            source or used,
            staged / bundle.SOURCE / contract.package(),
            ignore=lambda _, names: bundle.left_out(names),
        )
        if private_key is not None:  # else another job deploys it, which reaches the store
            declared = source_import.entity_features_of(staged, contract.package())
            # Before anything that takes long.
            refuse_without_values(name, {"entity_features": contract_file.views(declared)})
        fill(staged, estimator, train, test, facts, documents or {}, refitted)
        signing.sign(staged, key)
        _load(staged, public_key)
        if private_key is None:
            (staged / bundle.SIGNATURE).unlink()
        return put(staged, folder)


def put(staged: Path, folder: Path) -> Path:
    """Move a release from a draft folder to the folder of releases, replacing one of its name."""
    final = folder / staged.name
    with files.locked(folder):
        if final.exists():
            final.rename(staged.with_name("replaced"))
        staged.rename(final)
    return final


def _load(staged: Path, public_key: bytes) -> None:
    try:
        released.load(staged, public_key)
    except BundleError as error:
        # Often too slow, and then it matters why it is in no faster format.
        formats = bundle.read_manifest(staged)["parity"]["formats"]
        unused = [_format_line(each) for each in formats if not each["ok"]]
        raise BundleError("\n".join([str(error), *unused])) from error


def release_verb(function: Callable[..., int]) -> Verb:
    """Make a function of a version and a folder for unsigned releases the verb `poe release`."""
    unsigned = click.option(
        "--unsigned",
        metavar="FOLDER",
        type=Path,
        help="write it there without a signature, for `rung-ops sign` in another job of CI",
    )
    version = click.argument("version", metavar="[VERSION]", default="challenger")
    return verb("poe release")(version(unsigned(function)))


@release_verb
def main(version: str, unsigned: Path | None) -> int:
    """Write a version of the registry as a signed release.

    VERSION is its number or alias; the challenger by default.
    """
    from rung_ops.release import state
    from rung_ops.tracking import last_run, versions
    from rung_ops.tracking.versions import fetch_refitted, model_digest

    try:
        private_key = None if unsigned else signing.private_key()
        found = versions.find(version)
        facts = versions.facts_of(found)
        folder = unsigned or paths.candidates()
        name = bundle.release_id(facts["version"], facts["git_commit"], facts["data_hash"])
        if private_key and was_released(folder / name, signing.public_key_of(private_key)):
            for sentence in last_run.newer(versions.origin_of(found)):
                print(f"note: {sentence}")
            return 0
        train, test = versions.rows_of(found)
        with tempfile.TemporaryDirectory() as temporary:
            downloads = Path(temporary)
            source = versions.source_of(found, downloads)
            fitted = versions.estimator_of(found, downloads)
            refitted = versions.estimator_of(found, downloads, fetch_refitted)
            facts["model_hash"] = model_digest(found, downloads)
            documents = versions.documents_of(found, downloads)
            made = write(
                *(folder, fitted, train, test, facts, private_key, documents, source),
                refitted=refitted,
            )
    except (BundleError, VersionError, files.LockTimeoutError) as error:
        raise OpsError(f"Nothing was released. {error}") from error
    for line in summary(made):
        print(line)
    if served := state.served_manifest():
        changes = versions.changes(*map(versions.origin_in, (bundle.read_manifest(made), served)))
        print(f"against {served['id']}, which production serves: {changes}")
    return 0


def was_released(folder: Path, public_key: bytes) -> bool:
    """Say that a valid release exists: it may be in use, so it is not written again."""
    try:
        verify(folder, public_key)
    except (BundleError, OSError):
        return False
    print(f"{folder.name} was released before: {shown(folder)}")
    return True


def summary(folder: Path) -> list[str]:
    """Describe a release and the formats that were tried, a line each."""
    manifest = bundle.read_manifest(folder)
    parity = manifest["parity"]
    size = sum((folder / path).stat().st_size for path in bundle.paths_of(folder))
    lines = [
        *(_format_line(each) for each in parity["formats"]),
        *(
            f"note: the model has no prediction for {printable(case)}"
            for case in parity["unanswered"]
        ),
    ]
    if manifest["git_dirty"] == "true":
        lines.append("note: the version was made from uncommitted changes")
    if manifest.get("refit"):
        judged = (
            f"rows from {manifest['judged_from'][:10]} to {manifest['judged_until'][:10]}"
            if manifest["judged_from"]
            else "held-out rows"
        )
        lines.append(
            f"note: judged on {judged}; what serves was fitted again to all "
            f"{manifest['training_rows']:,} rows: shadow and canary judge it"
        )
    by_row = manifest["row_features"]
    if not by_row["used"]:
        lines.append(f"note: polars computes the features of each request: {by_row['reason']}")
    is_signed = (folder / bundle.SIGNATURE).exists()
    done = f"released {folder.name}" if is_signed else f"built {folder.name}, unsigned"
    return [
        *lines,
        f"{manifest['format']}, {size / 1e6:.1f} MB; on {parity['rows']:,} rows it differs from "
        f"the estimator by at most {parity['max_difference']:.2g} "
        f"(tolerance: {parity['tolerance']:.2g})",
        f"{done}: {shown(folder)}",
    ]


def _format_line(tried: dict[str, Any]) -> str:
    if not tried["ok"]:
        return f"{tried['format']}: not used: {tried['reason']}"
    return (
        f"{tried['format']}: {tried['reason'] or 'used'}; one row takes "
        f"{tried['microseconds_one_row']:.0f} us, 64 rows {tried['microseconds_64_rows']:.0f} us"
    )
