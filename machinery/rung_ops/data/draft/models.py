"""The model of a draft: the class that somebody's code used, or else boosted trees, and its scores."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rung_ops.data.draft import networks
from rung_ops.data.draft.columns import CLASS, DRAFTED, NUMBER, TRUTH, Columns
from rung_ops.data.draft.networks import Network
from rung_ops.data.draft.table import quoted

TREES = "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"
TREE = "sklearn.tree._tree.Tree"
# Of the modules that models come from: the types of a saved model that skops has to be told.
TOLD = {
    "lightgbm": ("collections.OrderedDict", "lightgbm.basic.Booster", "lightgbm.sklearn.{name}"),
    "xgboost": ("xgboost.core.Booster", "xgboost.sklearn.{name}"),
}
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
    return "\n\n".join([*parts, f"\n{build}", f"\n{score}"])


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
