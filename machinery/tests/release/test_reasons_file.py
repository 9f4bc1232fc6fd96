"""The effects of columns are exact Shapley values, and reasons are the adverse ones among them."""

from collections.abc import Callable, Sequence
from itertools import chain, combinations
from math import factorial
from typing import Any

import lightgbm
import numpy as np
import polars as pl
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from rung_ops.release import bundle, export, reasons_file
from rung_ops.release.bundle import BadBundle
from rung_ops.release.release_files import ReleaseFiles
from rung_ops.serving.effects import AdditiveEffects, margins, typical
from rung_ops.serving.predictors import EncodedBooster, Predictor
from rung_ops.serving.reasons import CannotExplainError, Reasons, of_release
from rung_ops.target import positive

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
HIGH = {"adverse": "high"}


def logistic() -> Pipeline:
    one_hot = [("housing", OneHotEncoder(), ["housing"])]
    columns = ColumnTransformer(one_hot, remainder=StandardScaler())
    return make_pipeline(columns, LogisticRegression()).fit(FEATURES, TRUTH)


def boosted(model: Any) -> Pipeline:
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = ColumnTransformer([("housing", codes, ["housing"])], remainder="passthrough")
    return make_pipeline(columns, model).fit(FEATURES, TRUTH)


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


def described(predict: Predictor, trees: Predictor | None = None, **settings: str) -> Any:
    return reasons_file.describe(
        CONTRACT, EXPRESSIONS, ROWS, FEATURES, predict, trees, settings or HIGH
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


def test_effects_are_the_weights_of_the_regression_times_the_distance_to_the_mean() -> None:
    numbers = FEATURES.drop("housing")
    model = LogisticRegression(max_iter=5_000).fit(numbers, TRUTH)
    predict = probabilities(model)
    base = numbers[:1]
    means = np.array(
        [
            AdditiveEffects(predict, "classification", base).terms(name, numbers[name]).mean()
            for name in numbers.columns
        ]
    )

    result = AdditiveEffects(predict, "classification", base, means)(numbers)

    by_hand = model.coef_[0] * (numbers.to_numpy() - numbers.to_numpy().mean(axis=0))
    np.testing.assert_allclose(result[:, :-1], by_hand, atol=1e-7)


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
    export._write_lightgbm(folder, model, FEATURES)
    return model, EncodedBooster(ReleaseFiles(folder))


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
    again = reasons_file.describe(
        CONTRACT,
        EXPRESSIONS,
        ROWS.sample(COUNT, shuffle=True, seed=1),
        FEATURES,
        predict,
        None,
        HIGH,
    )

    assert again == described(predict)


def test_a_model_that_is_neither_is_not_explained() -> None:
    model = boosted(HistGradientBoostingClassifier(max_iter=30, random_state=1))
    result = described(probabilities(model))

    assert result["method"] == "none"
    assert result["why"].startswith("its model is neither LightGBM nor additive")


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
    result = reasons_file.describe(
        CONTRACT, EXPRESSIONS, ROWS, FEATURES, probabilities(logistic()), None, {}
    )

    assert result["method"] == "none"
    assert "set `adverse` under [reasons]" in result["why"]


def test_a_direction_that_means_nothing_is_refused() -> None:
    with pytest.raises(BadBundle, match=r"\[reasons\]: adverse is 'up'; expected"):
        described(probabilities(logistic()), adverse="up")


def test_columns_of_a_feature_are_found_in_each_way_of_writing_it() -> None:
    expressions = [
        pl.col("months", "age"),
        pl.when(pl.col("age") > 30).then(pl.col("housing")).otherwise(None).alias("both"),
        pl.lit(1).alias("one"),
    ]

    assert reasons_file.columns_by_feature(expressions, CONTRACT, ROWS) == {
        **{"months": ["months"], "age": ["age"], "both": ["housing", "age"]},
        "one": ["housing", "months", "amount", "age"],
    }


def test_a_release_of_an_earlier_library_says_what_to_do(tmp_path: Any) -> None:
    with pytest.raises(CannotExplainError, match="release the version again"):
        of_release(ReleaseFiles(tmp_path), CONTRACT, EXPRESSIONS, probabilities(logistic()))


def test_reasons_that_cannot_be_read_stop_no_release(tmp_path: Any) -> None:
    (tmp_path / bundle.REASONS).write_text('{"method": "trees", "columns": {}}')
    with pytest.raises(CannotExplainError, match=r"reasons.json cannot be used: .*encoder.json"):
        of_release(ReleaseFiles(tmp_path), CONTRACT, EXPRESSIONS, probabilities(logistic()))
