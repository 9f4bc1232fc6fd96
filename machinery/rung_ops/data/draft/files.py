"""The verb `rung-ops draft`: the text of a project's own files, drafted from the columns of a table."""

import importlib.util
import json
import re
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from rung_ops.command import verb
from rung_ops.data.draft import columns as inferred
from rung_ops.data.draft import networks
from rung_ops.data.draft import table as read_table
from rung_ops.data.draft.columns import CLASS, DRAFTED, NUMBER, TRUTH, Column, Columns
from rung_ops.data.draft.networks import Network
from rung_ops.data.draft.table import Table, quoted
from rung_ops.errors import UsageError
from rung_ops.project import current
from rung_ops.project.paths import package_name
from rung_ops.settings import toml_value

TREES = "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"
TREE = "sklearn.tree._tree.Tree"
# Of the modules that models come from: the types of a saved model that skops has to be told.
TOLD = {
    "lightgbm": ("collections.OrderedDict", "lightgbm.basic.Booster", "lightgbm.sklearn.{name}"),
    "xgboost": ("xgboost.core.Booster", "xgboost.sklearn.{name}"),
}
SPACE = '''\
def space(trial: Any) -> dict[str, Any]:
    """Name the parameters worth searching: those of [model] in params.toml, with their ranges."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.3, log=True),
        "max_iter": trial.suggest_int("max_iter", 50, 300, step=50),
        "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 4, 63, log=True),
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 3, 200, log=True),
    }
'''
TREE_NAMES = tuple("RandomForest ExtraTree GradientBoosting DecisionTree AdaBoost Bagging".split())
BEARS_GAPS = ("HistGradientBoosting", "LGBM", "XGB")  # and features of any size
CLASSIFIERS = set(
    "LogisticRegression LogisticRegressionCV GaussianNB BernoulliNB SVC LinearSVC Perceptron "
    "LinearDiscriminantAnalysis QuadraticDiscriminantAnalysis".split()
)
REGRESSORS = set(
    "LinearRegression Ridge RidgeCV Lasso LassoCV ElasticNet ElasticNetCV BayesianRidge SVR "
    "LinearSVR KernelRidge".split()
)
WITHOUT_PROBABILITY = set(
    "LinearSVC Perceptron RidgeClassifier RidgeClassifierCV SGDClassifier SVC "
    "PassiveAggressiveClassifier".split()
)
WITHOUT_SEED = set(
    "LinearRegression GaussianNB BernoulliNB SVR RidgeCV BayesianRidge LinearDiscriminantAnalysis "
    "QuadraticDiscriminantAnalysis KernelRidge KNeighborsClassifier KNeighborsRegressor "
    "ElasticNetCV RidgeClassifierCV".split()
)
HOMES = {
    "CalibratedClassifierCV": "sklearn.calibration",
    "ColumnTransformer": "sklearn.compose",
    "OneHotEncoder": "sklearn.preprocessing",
    "OrdinalEncoder": "sklearn.preprocessing",
    "Pipeline": "sklearn.pipeline",
    "SimpleImputer": "sklearn.impute",
    "StandardScaler": "sklearn.preprocessing",
}
# By the kind of the target: what score() returns by default, and what it may return: the function
# of scikit-learn, its arguments, and whether higher is better.
DEFAULT = {
    TRUTH: ["auc", "average_precision", "log_loss", "brier"],
    CLASS: ["brier", "log_loss", "accuracy"],
    NUMBER: ["mae", "rmse"],
}
AT_HALF, MOST = "truth, predicted >= 0.5", "truth, predicted.argmax(axis=1)"
SCORES: dict[str, dict[str, tuple[str, str, bool]]] = {
    TRUTH: {
        "auc": ("roc_auc_score", "truth, predicted", True),
        "average_precision": ("average_precision_score", "truth, predicted", True),
        "log_loss": ("log_loss", "truth, predicted, labels=[0, 1]", False),
        "brier": ("brier_score_loss", "truth, predicted, pos_label=1", False),
        "accuracy": ("accuracy_score", AT_HALF, True),
        "balanced_accuracy": ("balanced_accuracy_score", AT_HALF, True),
        "f1": ("f1_score", AT_HALF, True),
        "precision": ("precision_score", f"{AT_HALF}, zero_division=0", True),
        "recall": ("recall_score", AT_HALF, True),
        "matthews": ("matthews_corrcoef", AT_HALF, True),
    },
    CLASS: {
        "brier": ("brier_score_loss", "truth, predicted, labels=classes", False),
        "log_loss": ("log_loss", "truth, predicted, labels=classes", False),
        "accuracy": ("accuracy_score", MOST, True),
        "balanced_accuracy": ("balanced_accuracy_score", MOST, True),
        "f1": ("f1_score", f'{MOST}, average="macro"', True),
        "matthews": ("matthews_corrcoef", MOST, True),
    },
    NUMBER: {
        "mae": ("mean_absolute_error", "truth, predicted", False),
        "rmse": ("root_mean_squared_error", "truth, predicted", False),
        "median_error": ("median_absolute_error", "truth, predicted", False),
        "mape": ("mean_absolute_percentage_error", "truth, predicted", False),
        "r2": ("r2_score", "truth, predicted", True),
    },
}
OLD_NAMES = {"mean_squared_error": "root_mean_squared_error"}


@dataclass(frozen=True)
class Model:
    """A model to draft model.py with."""

    module: str
    name: str
    settings: Mapping[str, Any]  # its arguments, for params.toml
    scores: Sequence[str]  # what score() returns; the first one decides
    kind: str
    note: str = ""  # why it is not the class that the code used; empty if it is
    network: Network | None = None

    @property
    def higher_is_better(self) -> bool:
        """Whether a higher value of the score that decides is better."""
        return SCORES[self.kind][self.scores[0]][2]


def choose(
    columns: Columns, path: str, settings: Mapping[str, Any], metrics: Sequence[str]
) -> Model:
    """Choose the class at `path`, with its settings and metrics, or boosted trees where it does not fit."""
    scores = list(DEFAULT[columns.kind])
    functions = {entry[0]: score for score, entry in SCORES[columns.kind].items()}
    used = [functions.get(OLD_NAMES.get(name, name)) for name in metrics]
    scores = list(dict.fromkeys([*filter(None, used), *scores]))
    module, _, name = path.rpartition(".")
    network = networks.taken(name, settings, columns) if module == "torch" else None
    if isinstance(network, Network):
        settings = {**network.settings, "device": "cpu"}
        return Model(module, name, settings, scores, columns.kind, network=network)
    note = network or (_unfit(module, name, columns.kind) if path else "")
    if path and not note:
        # Modules of scikit-learn below these, such as sklearn.ensemble._forest, are private.
        public = ".".join(part for part in module.split(".") if not part.startswith("_"))
        public = module.split(".")[0] if module.split(".")[0] in TOLD else public
        if module.startswith("lightgbm"):
            settings = {"verbose": -1, **settings}
        return Model(public, name, settings, scores, columns.kind)
    rows = columns.target.values.drop_nulls().len()
    settings = {
        "learning_rate": 0.05,
        "max_iter": 100,
        "max_leaf_nodes": 15,
        "min_samples_leaf": max(3, min(100, rows // 50)),
    }
    suffix = "Regressor" if columns.kind == NUMBER else "Classifier"
    name = f"HistGradientBoosting{suffix}"
    return Model("sklearn.ensemble", name, settings, scores, columns.kind, note)


def _unfit(module: str, name: str, kind: str) -> str:
    """Say why a class cannot be the model; empty if it can."""
    if module.split(".")[0] not in ("sklearn", *TOLD):
        return f"{name} has to be wrapped: docs/frameworks.md of Rung shows how for some frameworks"
    classifies = name.endswith("Classifier") or name in CLASSIFIERS
    if not classifies and not name.endswith("Regressor") and name not in REGRESSORS:
        return f"{name} is no model that predicts a class or a number"
    if classifies != (kind != NUMBER):
        return f"{name} does not predict {kind}"
    return ""


def modules(model: Model, columns: Columns) -> dict[str, str]:
    """Return the texts of model.py, and of the modules that it imports, by name."""
    if model.network is None:
        return {"model": _text(model, columns)}
    score = _score(model, columns)
    imports = _imports(model, score, {})
    return networks.texts(model.name, model.network, model.kind, score, imports)


def _imports(model: Model, code: str, others: Mapping[str, str]) -> str:
    """Return the lines that import what the code calls."""
    homes = {**HOMES, **others}
    homes |= {function: "sklearn.metrics" for function, _, _ in SCORES[model.kind].values()}
    imports: dict[str, set[str]] = {}
    for name, module in homes.items():
        if re.search(rf"\b{name}\(|-> {name}:", code):
            imports.setdefault(module, set()).add(name)
    lines = (
        f"from {at} import {', '.join(sorted(names))}" for at, names in sorted(imports.items())
    )
    return "\n".join(lines)


def _text(model: Model, columns: Columns) -> str:
    categories = [column.name for column in columns.seen if column.is_category]
    build, score = _build(model, categories), _score(model, columns)
    imports = _imports(model, build + score, {model.name: model.module})
    parts = [
        f'"""The model: {model.name}, and how it is scored.\n\n{DRAFTED}\n"""',
        "from collections.abc import Mapping\nfrom typing import Any",
        f"import numpy as np\n{imports}",
    ]
    if model.note:
        parts.append(f"# Not the model of your code: {model.note}.")
    if categories:
        parts.append(f"CATEGORIES = [{', '.join(map(quoted, categories))}]")
    if told := _told(model):
        parts.append(
            "# Types in a saved model that skops loads only when told to.\n"
            f"TRUSTED: list[str] = [{', '.join(map(quoted, told))}]"
        )
    space = [f"\n{SPACE}"] if model.name.startswith("HistGradientBoosting") else []
    return "\n\n".join([*parts, f"\n{build}", f"\n{score}", *space])


def _build(model: Model, categories: Sequence[str]) -> str:
    """Return build(): an encoder of texts and what fills gaps, as the model needs them."""
    is_tree, bears_gaps = model.name.startswith(TREE_NAMES), model.name.startswith(BEARS_GAPS)
    ordinal = 'OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1'
    if bears_gaps:
        encoder, rest = f"{ordinal})", '"passthrough"'
    elif is_tree:
        encoder, rest = f"{ordinal}, encoded_missing_value=-2)", "SimpleImputer()"
    else:
        encoder = 'OneHotEncoder(handle_unknown="ignore")'
        rest = 'Pipeline([("gaps", SimpleImputer()), ("scale", StandardScaler())])'
    lines = ["settings = dict(params)"]
    if model.name in WITHOUT_SEED:
        lines.append('settings.pop("seed")')
        made = f"{model.name}(**settings)"
    else:
        lines.append('seed = settings.pop("seed")')
        made = f"{model.name}(random_state=seed, **settings)"
    if model.name in WITHOUT_PROBABILITY:
        made = f"CalibratedClassifierCV({made})"
    steps = [f'("model", {made})']
    if categories or not bears_gaps:
        encoded = '("categories", category, CATEGORIES)' if categories else ""
        lines += [f"category = {encoder}"] if categories else []
        lines.append(f"columns = ColumnTransformer([{encoded}], remainder={rest})")
        steps.insert(0, '("columns", columns)')
    lines.append(f"return Pipeline([{', '.join(steps)}])")
    return (
        "def build(params: Mapping[str, Any]) -> Pipeline:\n"
        '    """Make an untrained model of `seed` and the settings under [model] in params.toml."""\n'
        + "".join(f"    {line}\n" for line in lines)
    )


def _score(model: Model, columns: Columns) -> str:
    """Return score()."""
    of = {
        TRUTH: "`truth` is 0 or 1, `predicted` the probability of 1.",
        CLASS: "`truth` is the place of a class in Row, `predicted` has probabilities.",
        NUMBER: "`predicted` is in the unit of `truth`.",
    }[model.kind]
    lines = []
    if model.kind == CLASS:
        lines.append(f"classes = list(range({columns.target.values.drop_nulls().n_unique()}))")
    entries = {score: SCORES[model.kind][score] for score in model.scores}
    scores = [f"{quoted(score)}: float({e[0]}({e[1]}))" for score, e in entries.items()]
    lines.append(f"return {{{', '.join(scores)},}}")
    return (
        "def score(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:\n"
        f'    """Score predictions: {of}"""\n' + "".join(f"    {line}\n" for line in lines)
    )


def _told(model: Model) -> list[str]:
    """Return the types in a saved model that skops has to be told."""
    package = model.module.split(".")[0]
    if package in TOLD:
        return [name.format(name=model.name) for name in TOLD[package]]
    if model.name.startswith("HistGradientBoosting"):
        return [TREES]
    return [TREE] if model.name.startswith(TREE_NAMES) else []


WIDTH = 96  # of comments
LONGEST = 70  # letters of a description
SLICED = 2  # categories whose figures the report shows one by one
# The titles are those that the model card, and the records under governance, refer to.
USE_CASE = """\
# Use case

## The question
Not written yet: who asks for `{target}` of a row of {file}, and when.

## Intended use
Not written yet: what they do with the answer.

## Out of scope
Not written yet: what nobody may use the answer for.

## Success metric
Not written yet: how success is measured, today's figure, what is enough. The draft decides by `{metric}`.

## Who can be harmed
Not written yet: by a wrong answer, and how.

## Data
Not written yet: what the rows are, and whom they describe.

## Known limits
Not written yet: where the model is wrong, or untried.

## Owner
Not written yet: who answers for the model, and decides when to stop.
"""
TEST_SHARE = 0.25
LEAST_JUDGED = 200  # test rows: `min_rows` of the gate's defaults
PARAMS = """\
# Every number that changes a result. Change one, train again, compare.

seed = 7 # of everything random

[split]
test_share = {test_share} # {share}; the model never learns from it
{window}{refit}

[model] # handed to build() in model.py
{settings}
[score]
metric = {metric} # the number that models are compared by, one of those score() returns
higher_is_better = {higher}

[report]
{positive}slices = [{slices}] # columns to score group by group

[tune]
trials = 20
"""
REFIT = "refit = true # what is released is fitted again to all rows, after the test has judged the settings"
NO_REFIT = "refit = false # what was validated is what serves: it is not fitted again to all rows"
WINDOW = 'window = "all" # or "6 months", or "half-life 6 months": older rows with less weight\n'


def write(root: Path, package: str, table: Table, columns: Columns, model: Model) -> list[str]:
    """Write the drafts over the example; return their paths, relative to the project."""
    source, sample = root / "src" / package, root / "data/sample"
    if model.network:
        networks.adapt(columns)
    texts = {
        source / "dataset.py": dataset(table, columns),
        source / "features.py": features(columns),
        **{source / f"{name}.py": t for name, t in modules(model, columns).items()},
        root / "params.toml": params(columns, model, _is_refitted(root / "params.toml")),
        root / "docs/use_case.md": USE_CASE.format(
            target=columns.target.name, file=table.name, metric=model.scores[0]
        ),
        sample / "README.md": sample_page(table, columns),
    }
    for path in sample.glob("*"):
        path.unlink()
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    (sample / table.name).write_bytes(table.content)
    if importlib.util.find_spec("ruff"):
        command = [sys.executable, "-m", "ruff", "format", "--quiet", "--no-cache", str(source)]
        subprocess.run(command, cwd=root, check=False)
    return [path.relative_to(root).as_posix() for path in (*texts, sample / table.name)]


def _comment(words: str, indent: str = "") -> str:
    return textwrap.fill(
        words, WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ",
        break_long_words=True,
    )  # fmt: skip


def dataset(table: Table, columns: Columns) -> str:
    """Return the text of dataset.py."""
    target, time, identity = columns.target, columns.time, columns.identity
    annotated = any(column.annotation.startswith("Annotated") for column in columns.columns)
    order = "No column has a time for every row, so a random share of the rows judges the model."
    if time:
        order = "It orders the rows: the model learns from the earlier ones, and the later ones judge it."
    long = any(len(quoted(column.raw)) > LONGEST for column in columns.columns)
    name = _plain(table.name)[:30]
    lines = [
        *(["# ruff: noqa: E501  as names of columns are long"] if long else []),
        f'"""What a row is: a row of {name}.\n\n{DRAFTED}\n"""\n',
        "from pathlib import Path",
        *(["from typing import Annotated"] if annotated else []),
        "\nimport pandera.polars as pa\nimport polars as pl",
        *(["import polars.selectors as cs"] if target.read != "@" else []),
        "",
        _comment(f"Predicted, as {columns.kind}: {'; '.join(target.why)}."),
        f"TARGET: str = {quoted(target.name)}",
        _comment(order),
        f"TIME: str | None = {quoted(time.name) if time else None}",
        "\n\nclass Row(pa.DataFrameModel):",
        f'    """One of the {table.frame.height:,} rows of {name}."""\n',
    ]
    for column in columns.columns:
        rules = column.rules | {"description": quoted(_plain(column.raw)[:LONGEST])}
        arguments = ", ".join(f"{name}={value}" for name, value in rules.items())
        lines += [
            _comment("; ".join(column.why), "    "),
            f"    {column.name}: {column.annotation} = pa.Field({arguments})",
        ]
    if identity:
        lines += [
            "\n    class Config:",
            f'        """No two rows are of the same `{identity.name}`."""\n',
            f"        unique = [{quoted(identity.name)}]",
        ]
    lines += ["\n", *(_comment(f"Not in Row: {reason}.") for reason in columns.left_out)]
    return "\n".join(lines) + "\n\n" + _load(table, columns)


def _load(table: Table, columns: Columns) -> str:
    """Return load(), which reads the columns of one type by one expression."""
    read: dict[str, list[str]] = {}
    for column in columns.columns:
        if column is not columns.target and column.read != "@":
            key = column.read
            if key.count("@") > 1:  # coalesce() takes one column
                key = key.replace("@", f"pl.col({quoted(column.name)})")
            read.setdefault(key, []).append(column.name)
    made = [
        key.replace("@", f"pl.col({', '.join(map(quoted, names))})") for key, names in read.items()
    ]
    target = columns.target
    if target.read != "@":
        optional = f"cs.by_name({quoted(target.name)}, require_all=False)"
        # Rows to predict have no target.
        made.append(target.read.replace("@", optional))
    names = {c.raw: c.name for c in columns.columns if c.raw != c.name}
    renamed = ""
    if names:
        pairs = ", ".join(f"{quoted(raw)}: {quoted(name)}" for raw, name in names.items())
        renamed = f".rename({{{pairs}}}, strict=False)"
    converted = f"return rows.with_columns({', '.join(made)})" if made else "return rows"
    return (
        "def load(path: Path) -> pl.DataFrame:\n"
        f'    """Read one file like {_plain(table.name)[:30]}: {table.form}."""\n'
        f"    rows = {table.reader}{renamed}\n    {converted}\n"
    )


def _plain(text: str) -> str:
    """Return a text that may stand in a docstring or a description."""
    printed = "".join(sign for sign in text if sign.isprintable())
    return printed.replace("\\", "/").replace('"""', "'")


def features(columns: Columns) -> str:
    """Return the text of features.py."""
    hidden = [f"{c.name}: {c.hidden}." for c in columns.columns if c.hidden]
    lines = [
        f'"""What the model sees of a row: each expression reads one row alone.\n\n{DRAFTED}\n"""',
        "\nimport polars as pl\n",
        *(_comment(f"Left out, {reason}") for reason in hidden),
        _comment("Take out what is not known yet when the prediction is made."),
        f"FEATURES: list[pl.Expr] = [{', '.join(column.feature for column in columns.seen)},]",
    ]
    return "\n".join(lines) + "\n"


def params(columns: Columns, model: Model, is_refitted: bool) -> str:
    """Return the text of params.toml."""
    settings = "".join(f"{name} = {toml_value(value)}\n" for name, value in model.settings.items())
    listed = [c.name for c in columns.seen if "isin" in c.rules]
    share = (
        "the last quarter of the rows by time" if columns.time else "of the rows, drawn at random"
    )
    return PARAMS.format(
        test_share=TEST_SHARE,
        share=share,
        window=WINDOW if columns.time else "",
        refit=REFIT if is_refitted else NO_REFIT,
        settings=settings,
        metric=quoted(model.scores[0]),
        higher=toml_value(model.higher_is_better),
        positive=f"positive = {quoted(columns.target.name)}\n" if columns.kind == TRUTH else "",
        slices=", ".join(map(quoted, listed[:SLICED])),
    )


def _is_refitted(replaced: Path) -> bool:
    """Read `refit` of the file that the draft replaces: governance refuses a refitted model."""
    try:
        before = tomllib.loads(replaced.read_text("utf-8"))
    except (OSError, ValueError):
        return True
    return bool(before.get("split", {}).get("refit", True))


def sample_page(table: Table, columns: Columns) -> str:
    """Return the page about the sample."""
    return "\n".join(
        [
            f"# The sample: {_plain(table.name)}\n",
            f"{table.frame.height:,} rows. {table.form}.\n",
            "Not written yet: where the rows come from, under which licence, what was done to them, and",
            "who may read them: git keeps them.\n",
            "|Column|In Row|Type|Found|\n|-|-|-|-|",
            *(_row(column) for column in columns.columns),
            *(f"\nNot in Row: {reason}." for reason in columns.left_out),
            "",
        ]
    )


def _row(column: Column) -> str:
    found = "; ".join(column.why)
    cells = [_plain(column.raw), f"`{column.name}`", column.annotation, found]
    return f"|{'|'.join(cell.replace('|', '/') for cell in cells)}|"


def summary(table: Table, columns: Columns, model: Model, written: Iterable[str]) -> str:
    """Return what was inferred, a line each."""
    time = "none: a random share of the rows judges the model"
    note = f" ({model.note})" if model.note else ""
    judging = int(columns.target.values.drop_nulls().len() * TEST_SHARE)
    few = f"{judging:,} rows are for the test; from rung 3 on no model passes the gate with fewer than "
    lines = [
        f"{table.name}: {table.frame.height:,} rows. {table.form}.",
        f"  target    {columns.target.name}: {columns.kind} ({'; '.join(columns.target.why)})",
        f"  time      {columns.time.name if columns.time else time}",
        f"  columns   {len(columns.columns)} in Row, of which the model sees {len(columns.seen)}",
        *(f"  left out  {c.name}: {c.hidden}" for c in columns.columns if c.hidden),
        *(f"  left out  {reason}" for reason in columns.left_out),
        *(f"  missing   `{word}`, a word among numbers" for word in table.gaps),
        f"  model     {model.name}, compared by {model.scores[0]}{note}",
        *([f"  few rows  {few}{LEAST_JUDGED}"] if judging < LEAST_JUDGED else []),
        f"Drafts, yours to correct: {', '.join(written)}.",
    ]
    return "\n".join(_plain(line) for line in lines)


@verb("rung-ops draft")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--target", default="", metavar="COLUMN", help="the column to predict")
@click.option("--model", default="", metavar="CLASS", help="such as sklearn.linear_model.Ridge")
@click.option("--settings", default="{}", metavar="JSON", help="the arguments of its class")
@click.option("--metric", "metrics", multiple=True, help="a function of sklearn.metrics")
@click.option("--replace", is_flag=True, help="replace the files that are there")
def main(
    file: Path, target: str, model: str, settings: str, metrics: tuple[str, ...], replace: bool
) -> int:
    """Draft dataset.py, features.py, model.py and params.toml from a FILE of rows."""
    project = current()
    mine = f"src/{package_name()}/dataset.py"
    if (project.root / mine).exists() and not replace:
        raise UsageError(
            f"{mine} is there. Commit your work, then add `--replace`: it "
            "replaces dataset.py, features.py, model.py, params.toml, docs/use_case.md and all of "
            "data/sample."
        )
    rows = read_table.read(file)
    found = inferred.infer(rows, target)
    chosen = choose(found, model, json.loads(settings), metrics)
    written = write(project.root, package_name(), rows, found, chosen)
    print(summary(rows, found, chosen, written))
    return 0
