"""The effects of columns are exact Shapley values, and reasons are the adverse ones among them."""

from collections.abc import Callable, Sequence
from itertools import chain, combinations
from math import factorial
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import polars as pl
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from rung_ops.errors import VersionError
from rung_ops.model import bundle
from rung_ops.model.bundle import BundleError, ReleaseFiles
from rung_ops.model.predictors import EncodedBooster, Predictor
from rung_ops.model.reasons import (
    AdditiveEffects,
    CannotExplainError,
    Reasons,
    margins,
    reasons_of,
    typical,
)
from rung_ops.model.target import positive
from rung_ops.quantiles import PerQuantile
from rung_ops.release import export, make

DRAWS = np.random.default_rng(11)
COUNT = 300
ROWS = pl.DataFrame(
    {
        "housing": DRAWS.choice(["rent", "own", "free"], COUNT),
        "months": DRAWS.integers(6, 60, COUNT),
        "amount": DRAWS.lognormal(8, 0.7, COUNT),
        "age": DRAWS.integers(18, 70, COUNT),
    }
)
EXPRESSIONS = [
    pl.col("housing"),
    pl.col("months"),
    pl.col("amount").log().alias("log_amount"),
    (pl.col("amount") / pl.col("months")).alias("monthly"),
    pl.col("age"),
]
FEATURES = ROWS.select(EXPRESSIONS)
RISK = (
    (ROWS["months"] / 15 - ROWS["age"] / 30 + (ROWS["housing"] == "rent")).to_numpy()
    + np.log(ROWS["amount"].to_numpy())
    - 10
)
TRUTH = (DRAWS.random(COUNT) < 1 / (1 + np.exp(-RISK))).astype(int)
KINDS = {"housing": ("str", "String"), "months": ("int", "Int64"), "amount": ("float", "Float64")}
CONTRACT: dict[str, Any] = {
    "task": "classification",
    "columns": [
        {
            **dict.fromkeys(("ge", "gt", "le", "lt", "isin", "pattern", "default", "unit")),
            **{"min_length": None, "max_length": None, "required": True, "name": name},
            **dict(zip(("dtype", "polars"), KINDS.get(name, ("int", "Int64")), strict=True)),
            "description": f"The {name}",
        }
        for name in ROWS.columns
    ],
    "features": [{"name": name, "dtype": str(kind)} for name, kind in FEATURES.schema.items()],
    "example": {"housing": "own", "months": 24, "amount": 2000.0, "age": 33},
}


def logistic() -> Pipeline:
    one_hot = [("housing", OneHotEncoder(), ["housing"])]
    columns = ColumnTransformer(one_hot, remainder=StandardScaler())
    return make_pipeline(columns, LogisticRegression()).fit(FEATURES, TRUTH)


def boosted(model: Any, truth: np.ndarray = TRUTH) -> Pipeline:
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = ColumnTransformer([("housing", codes, ["housing"])], remainder="passthrough")
    return make_pipeline(columns, model).fit(FEATURES, truth)


def probabilities(model: Any) -> Predictor:
    return lambda features: positive(np.asarray(model.predict_proba(features)))


def shapley(value: Callable[[Sequence[int]], float], players: int) -> np.ndarray:
    """Compute Shapley values by their definition, over all coalitions."""
    result = np.zeros(players)
    for player in range(players):
        others = [each for each in range(players) if each != player]
        sizes = (combinations(others, size) for size in range(players))
        for some in chain.from_iterable(sizes):
            weight = factorial(len(some)) * factorial(players - len(some) - 1) / factorial(players)
            result[player] += weight * (value([*some, player]) - value(some))
    return result


def described(
    predict: Predictor,
    trees: Predictor | None = None,
    contract: dict[str, Any] = CONTRACT,
    rows: pl.DataFrame = ROWS,
    **settings: Any,
) -> Any:
    return make.describe_reasons(
        contract, EXPRESSIONS, rows, FEATURES, predict, trees, settings or {"adverse": "high"}
    )


def additive(predict: Predictor, facts: dict[str, Any]) -> AdditiveEffects:
    base = typical(CONTRACT, EXPRESSIONS)
    means = np.array([facts["means"][name] for name in base.columns])
    return AdditiveEffects(predict, "classification", base, means)


def test_effects_of_a_linear_model_are_its_exact_shapley_values() -> None:
    predict = probabilities(logistic())
    effects = additive(predict, described(predict))

    for row in range(4):

        def value(known: Sequence[int], row: int = row) -> float:
            same = [FEATURES.columns[index] for index in known]
            mixed = FEATURES.with_columns(pl.lit(FEATURES[name][row]).alias(name) for name in same)
            return float(margins(predict(mixed), "classification").mean())

        exact = shapley(value, FEATURES.width)
        result = effects(FEATURES[row])[0]
        assert result[:-1] == pytest.approx(exact, abs=1e-9)
        assert result[-1] == pytest.approx(value([]), abs=1e-9)


def test_effects_of_a_regression_are_in_its_unit() -> None:
    numbers = ROWS.select("months", "age")
    model = LinearRegression().fit(numbers, ROWS["amount"].to_numpy())
    result = AdditiveEffects(model.predict, "regression", numbers[:1])(numbers)

    np.testing.assert_allclose(result.sum(axis=1), model.predict(numbers))


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, EncodedBooster]:
    """A LightGBM model, and the same in the files of a release."""
    folder = tmp_path_factory.mktemp("release")
    model = boosted(lightgbm.LGBMClassifier(n_estimators=40, num_leaves=7, verbose=-1))
    export.write_again("lightgbm", folder, model, FEATURES)
    return model, EncodedBooster(ReleaseFiles(folder), "classification")


def test_effects_of_trees_are_those_of_lightgbm(staged: tuple[Any, EncodedBooster]) -> None:
    model, booster = staged
    matrix = model[0].transform(FEATURES)
    theirs = model[1].booster_.predict(matrix, pred_contrib=True)

    result = booster.effects(FEATURES)

    np.testing.assert_allclose(result, theirs, atol=1e-12)  # housing is first in both
    log_odds = margins(probabilities(model)(FEATURES), "classification")
    np.testing.assert_allclose(result.sum(axis=1), log_odds, atol=1e-9)


def test_trees_are_explained_by_their_own_effects(staged: tuple[Any, EncodedBooster]) -> None:
    _, booster = staged
    result = described(booster, booster)

    assert (result["method"], result["adverse"]) == ("trees", "high")
    assert result["max_difference"] < 1e-9


def on_paths(node: dict[str, Any], row: np.ndarray, known: Sequence[int]) -> float:
    """Predict by a tree that knows some columns: elsewhere both sides count by their rows."""
    if "leaf_value" in node:
        return float(node["leaf_value"])
    sides = node["left_child"], node["right_child"]
    if node["split_feature"] in known:
        return on_paths(sides[int(row[node["split_feature"]] > node["threshold"])], row, known)
    rows = [side.get("internal_count", side.get("leaf_count")) for side in sides]
    return float(np.average([on_paths(side, row, known) for side in sides], weights=rows))


def by_hand(booster: Any, row: np.ndarray, number: int = 0, numbers: int = 1) -> np.ndarray:
    """Compute the Shapley values of a booster's trees by their definition."""
    trees = [each["tree_structure"] for each in booster.dump_model()["tree_info"]]
    own = trees[number::numbers]
    return shapley(lambda known: sum(on_paths(tree, row, known) for tree in own), len(row))


def booster_of(folder: Path, model: Any, task: str) -> EncodedBooster:
    export.write_again("lightgbm", folder, model, FEATURES)
    return EncodedBooster(ReleaseFiles(folder), task)


def assert_rows_are_answered_alike(booster: EncodedBooster) -> None:
    """Compare what is predicted of values with what is predicted of a frame."""
    of_rows = booster.of_rows(FEATURES.schema)
    assert of_rows is not None
    np.testing.assert_array_equal(of_rows(FEATURES.rows()), booster(FEATURES))


SMALL_TREES = {"n_estimators": 8, "num_leaves": 6, "verbose": -1}
CLASSES = ["fine", "poor", "bad"]
OF_CLASSES = CONTRACT | {"task": "multiclass", "classes": CLASSES}


def test_effects_of_trees_of_several_classes_are_their_exact_shapley_values(tmp_path: Path) -> None:
    model = boosted(lightgbm.LGBMClassifier(**SMALL_TREES), np.digitize(RISK, [0, 1]))
    booster = booster_of(tmp_path, model, "multiclass")
    matrix = np.asarray(model[0].transform(FEATURES), float)

    effects = booster.effects(FEATURES)

    np.testing.assert_allclose(booster(FEATURES), model.predict_proba(FEATURES), atol=1e-12)
    np.testing.assert_allclose(booster(FEATURES[:1]), model.predict_proba(FEATURES[:1]), atol=1e-12)
    assert_rows_are_answered_alike(booster)
    raw = model[1].booster_.predict(matrix, raw_score=True)
    exact = raw - raw.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(effects.sum(axis=1), exact, atol=1e-9)
    np.testing.assert_allclose(margins(booster(FEATURES), "multiclass"), exact, atol=1e-9)
    for row in range(4):
        parts = [by_hand(model[1].booster_, matrix[row], each, 3) for each in range(3)]
        of_classes = np.column_stack(parts)
        of_classes -= of_classes.mean(axis=1, keepdims=True)
        np.testing.assert_allclose(effects[row, :-1], of_classes, atol=1e-9)


def test_trees_of_two_named_classes_are_explained_like_those_of_more(tmp_path: Path) -> None:
    model = boosted(lightgbm.LGBMClassifier(**SMALL_TREES))
    booster = booster_of(tmp_path, model, "multiclass")

    predicted, effects = booster(FEATURES), booster.effects(FEATURES)

    np.testing.assert_allclose(predicted, model.predict_proba(FEATURES), atol=1e-12)
    np.testing.assert_allclose(effects.sum(axis=1), margins(predicted, "multiclass"), atol=1e-9)
    assert_rows_are_answered_alike(booster)


def test_trees_whose_scores_are_not_the_log_odds_of_classes_give_none(tmp_path: Path) -> None:
    one_by_one = lightgbm.LGBMClassifier(objective="multiclassova", **SMALL_TREES)
    booster = booster_of(tmp_path, boosted(one_by_one, np.digitize(RISK, [0, 1])), "multiclass")

    result = described(booster, booster, OF_CLASSES, adverse=["bad"])

    assert result["method"] == "none"
    assert result["why"].startswith("the trees' scores are not its log-odds")


def quantiles_of(rounds: int = 8) -> Pipeline:
    each = lightgbm.LGBMRegressor(objective="quantile", **SMALL_TREES | {"n_estimators": rounds})
    return boosted(PerQuantile(each, (0.1, 0.5, 0.9), "alpha"), ROWS["amount"].to_numpy())


def test_the_median_of_trees_is_explained_exactly_also_where_quantiles_cross(
    tmp_path: Path,
) -> None:
    model = quantiles_of()
    last = model[1]
    last.estimators_ = [last.estimators_[at] for at in (1, 0, 2)]  # so the first is the middle
    booster = booster_of(tmp_path, model, "quantile")
    matrix = np.asarray(model[0].transform(FEATURES), float)

    effects, predicted = booster.effects(FEATURES), booster(FEATURES)

    np.testing.assert_allclose(predicted, np.sort(model.predict(FEATURES), axis=1), rtol=1e-12)
    np.testing.assert_allclose(booster(FEATURES[:1]), predicted[:1], rtol=1e-12)
    assert_rows_are_answered_alike(booster)
    np.testing.assert_allclose(effects.sum(axis=1), predicted[:, 1], rtol=1e-9)
    medians = last.estimators_[0].booster_
    for row in range(4):
        exact = by_hand(medians, matrix[row])
        np.testing.assert_allclose(effects[row, :-1], exact, rtol=1e-6, atol=1e-6)


def test_the_median_of_what_adds_up_has_reasons() -> None:
    contract = CONTRACT | {"task": "quantile", "quantiles": [0.1, 0.5, 0.9]}
    numbers = ROWS.select("months", "age")
    linear = LinearRegression().fit(numbers, ROWS["amount"].to_numpy())

    def predict(features: pl.DataFrame) -> np.ndarray:
        median = linear.predict(features.select("months", "age"))
        return np.column_stack([median / 2, median, 2 * median])

    result = described(predict, contract=contract)
    base = typical(CONTRACT, EXPRESSIONS)
    means = np.array([result["means"][name] for name in base.columns])
    effects = AdditiveEffects(predict, "quantile", base, means)
    given = Reasons(result, contract, effects, predict).strongest(FEATURES, 2)

    away = (numbers.to_numpy() - numbers.to_numpy().mean(axis=0)) * linear.coef_
    assert result["method"] == "additive"
    for reasons, exact in zip(given, away, strict=True):
        expected = sorted((each for each in exact if each > 5e-5), reverse=True)
        assert [each.effect for each in reasons] == pytest.approx(expected, abs=1e-3)


def test_quantiles_of_different_numbers_of_trees_are_not_joined(tmp_path: Path) -> None:
    model = quantiles_of()
    model[1].estimators_[2] = quantiles_of(5)[1].estimators_[2]

    with pytest.raises(VersionError, match="different numbers of trees"):
        export.write_again("lightgbm", tmp_path, model, FEATURES)


def test_a_feature_of_two_columns_is_a_reason_of_its_own() -> None:
    predict = probabilities(logistic())
    result = described(predict)

    assert result["columns"]["log_amount"] == ["amount"]
    assert result["columns"]["monthly"] == ["months", "amount"]
    given = Reasons(result, CONTRACT, additive(predict, result), predict).strongest(FEATURES, 9)
    texts = {reason.text for row in given for reason in row}
    assert texts == {
        *("The housing", "The months", "The amount", "The age"),
        "The months and The amount, together",
    }


@pytest.mark.parametrize("adverse", ["high", "low"])
def test_reasons_are_the_strongest_adverse_effects_and_none_is_favourable(adverse: str) -> None:
    predict = probabilities(logistic())
    result = described(predict, adverse=adverse)
    effects = additive(predict, result)
    reasons = Reasons(result, CONTRACT, effects, predict)

    parts = effects(FEATURES)[:, :-1] * (1 if adverse == "high" else -1)
    for row, given in enumerate(reasons.strongest(FEATURES, 2)):
        columns = [",".join(result["columns"][name]) for name in FEATURES.columns]
        against = {name: parts[row, at] for at, name in enumerate(columns) if parts[row, at] > 5e-5}
        strongest = sorted(against, key=lambda name: -against[name])[:2]
        assert [",".join(reason.columns) for reason in given] == strongest
        assert all(reason.effect > 0 for reason in given)


def test_the_order_of_the_training_rows_changes_no_reason() -> None:
    predict = probabilities(logistic())
    shuffled = ROWS.sample(COUNT, shuffle=True, seed=1)

    assert described(predict, rows=shuffled) == described(predict)


def test_an_interaction_in_few_rows_is_found() -> None:
    plain = probabilities(logistic())

    def predict(features: pl.DataFrame) -> np.ndarray:
        rare = (features["age"] < 20) & (features["housing"] == "rent")
        return plain(features) * np.where(rare.to_numpy(), 0.9, 1.0)

    assert 0 < ((FEATURES["age"] < 20) & (FEATURES["housing"] == "rent")).sum() < 10
    assert described(predict)["method"] == "none"


def test_a_row_whose_effects_do_not_add_up_has_no_reasons() -> None:
    predict = probabilities(logistic())
    result = described(predict)

    def other(features: pl.DataFrame) -> np.ndarray:
        return predict(features) * np.where(features["age"].to_numpy() > 65, 0.9, 1.0)

    reasons = Reasons(result, CONTRACT, additive(predict, result), other)
    young = FEATURES.filter(pl.col("age") <= 65)
    reasons.strongest(young, 4)
    with pytest.raises(CannotExplainError, match="row 2: the effects of its columns"):
        reasons.strongest(pl.concat([young[:1], FEATURES.filter(pl.col("age") > 65)[:1]]), 4)


def test_without_a_direction_there_are_no_reasons() -> None:
    result = described(probabilities(logistic()), adverse=None)

    assert result["method"] == "none"
    assert "set `adverse` under [reasons]" in result["why"]


def test_a_direction_that_means_nothing_is_refused() -> None:
    with pytest.raises(BundleError, match=r"\[reasons\]: adverse is 'up'; expected"):
        described(probabilities(logistic()), adverse="up")


def test_columns_of_a_feature_are_found_in_each_way_of_writing_it() -> None:
    expressions = [
        pl.col("months", "age"),
        pl.when(pl.col("age") > 30).then(pl.col("housing")).otherwise(None).alias("both"),
        pl.lit(1).alias("one"),
    ]

    assert make.columns_by_feature(expressions, CONTRACT, ROWS) == {
        **{"months": ["months"], "age": ["age"], "both": ["housing", "age"]},
        "one": ["housing", "months", "amount", "age"],
    }


def test_a_release_of_an_earlier_library_says_what_to_do(tmp_path: Any) -> None:
    with pytest.raises(CannotExplainError, match="release the version again"):
        reasons_of(ReleaseFiles(tmp_path), CONTRACT, EXPRESSIONS, probabilities(logistic()))


def test_reasons_that_cannot_be_read_stop_no_release(tmp_path: Any) -> None:
    (tmp_path / bundle.REASONS).write_text('{"method": "trees", "columns": {}}')
    with pytest.raises(CannotExplainError, match=r"reasons.json cannot be used: .*encoder.json"):
        reasons_of(ReleaseFiles(tmp_path), CONTRACT, EXPRESSIONS, probabilities(logistic()))
