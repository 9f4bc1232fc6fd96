"""A release holds its model in a form that answers as the estimator does, or there is no release."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
    TargetEncoder,
)

from rung_ops.errors import VersionError
from rung_ops.model import bundle
from rung_ops.model.bundle import BundleError
from rung_ops.model.predictors import OnnxOutput, predictor_of, row_predictor
from rung_ops.project import current
from rung_ops.release import export
from rung_ops.release.export import to_lightgbm
from rung_ops.release.to_onnx import to_onnx
from rung_ops.training import estimator

PACKAGE = "sample_package"
DRAWS = np.random.default_rng(5)
COUNT = 600


def holes(values: np.ndarray, share: float = 0.2) -> list[Any]:
    """Leave some values out."""
    empty = DRAWS.random(len(values)) < share
    return [None if hole else value for value, hole in zip(values.tolist(), empty, strict=True)]


FEATURES = pl.DataFrame(
    {
        "letter": DRAWS.choice(list("abcdef"), COUNT),
        "letter_or_none": holes(DRAWS.choice(list("xyz"), COUNT)),
        "number": DRAWS.normal(50, 20, COUNT),
        "number_or_none": holes(DRAWS.normal(0, 1, COUNT)),
        "count": DRAWS.integers(0, 30, COUNT),
        "flag": DRAWS.random(COUNT) < 0.5,
    },
    schema_overrides={"count": pl.Int16},
)
TRUTH = (
    FEATURES["number"].to_numpy() / 40
    + FEATURES["letter"].is_in(["a", "b"]).to_numpy()
    + DRAWS.normal(0, 0.5, COUNT)
    > 1.5
).astype(int)


def ordinal() -> OrdinalEncoder:
    return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)


def one_hot(**more: Any) -> OneHotEncoder:
    return OneHotEncoder(handle_unknown="ignore", **more)


def median(**more: Any) -> SimpleImputer:
    return SimpleImputer(strategy="median", **more)


def pipeline(text: str, encoder: Any, rest: Any, model: Any) -> Pipeline:
    columns = ColumnTransformer([("text", encoder, [text])], remainder=rest)
    return Pipeline([("columns", columns), ("model", model)])


def trees() -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(max_iter=20, random_state=1)


def release(folder: Path, model: str = "") -> Path:
    """Make the folder of a release that has its source and no model yet."""
    home = folder / "v1" / "src" / PACKAGE
    home.mkdir(parents=True)
    (home / "__init__.py").write_text("")
    (home / "model.py").write_text(model)
    return folder / "v1"


def exported(
    staged: Path, model: Any, columns: list[str], tolerance: float = export.TOLERANCE
) -> tuple[str, list[export.FormatResult]]:
    """Fit a model to some rows, export it, and hold what was written against it on all rows."""
    inputs = FEATURES.select(columns)
    regression = isinstance(model[-1] if isinstance(model, Pipeline) else model, Ridge)
    model.fit(inputs[:400], FEATURES["number"].to_numpy()[:400] if regression else TRUTH[:400])
    expected = estimator.predict_features(model, inputs)
    check = export.ParityCheck(inputs, expected, tolerance)
    chosen, tried = export.export(staged, PACKAGE, model, check)

    written = predictor_of(staged, {"format": chosen.format, "package": PACKAGE})
    np.testing.assert_allclose(written(inputs), expected, atol=tolerance, rtol=0)
    for each in tried:
        if each.ok and (by_row := row_predictor(each.predict, inputs.schema)) is not None:
            np.testing.assert_array_equal(by_row(inputs.rows()), each.predict(inputs))
    assert not list(staged.parent.glob("v1-*"))
    return chosen.format, tried


def linear(
    text: str = "letter", encoder: Any = None, rest: Any = None, last: Any = None
) -> Pipeline:
    """A linear model behind one-hot texts and scaled numbers, unless something else is named."""
    last = LogisticRegression() if last is None else last  # a forest is false until it is fitted
    return pipeline(text, encoder or one_hot(), rest or StandardScaler(), last)


GAPS = ["number", "number_or_none", "count"]
FILLED = SimpleImputer(missing_values=None, strategy="constant", fill_value="none")
BRANCHES = [("gaps", MissingIndicator(), GAPS), ("filled", SimpleImputer(), GAPS)]
PIPELINES: dict[str, tuple[list[str], Any]] = {
    "trees behind codes": (
        ["letter", "number", "number_or_none", "count"],
        pipeline("letter", ordinal(), "passthrough", trees()),
    ),
    "trees behind target means": (
        ["letter", "number"],
        pipeline("letter", TargetEncoder(random_state=1), "passthrough", trees()),
    ),
    "a regression behind one-hot and scaling": (["letter", "number", "count", "flag"], linear()),
    "a text that may be missing, one-hot": (
        ["letter_or_none", "number"],
        linear("letter_or_none"),
    ),
    "a text that may be missing, filled": (
        ["letter_or_none", "number"],
        linear("letter_or_none", make_pipeline(FILLED, one_hot())),
    ),
    "numbers alone": (["number", "count", "flag"], trees()),
    "a step for all columns": (
        ["number", "count"],
        make_pipeline(StandardScaler(), LogisticRegression()),
    ),
    "numbers that may be missing, for a regression": (
        ["letter", "number_or_none", "count"],
        linear(rest=make_pipeline(median(), StandardScaler()), last=Ridge()),
    ),
    "an imputer with indicators": (
        ["letter", *GAPS],
        linear(rest=make_pipeline(median(add_indicator=True), StandardScaler())),
    ),
    "an imputer with indicators, of all columns": (
        GAPS,
        make_pipeline(SimpleImputer(add_indicator=True), trees()),
    ),
    "indicators of what is missing": (
        GAPS,
        make_pipeline(ColumnTransformer(BRANCHES), LogisticRegression()),
    ),
    **{
        f"{function.__name__} of numbers": (
            ["letter", "count", "flag"],
            linear(
                rest=make_pipeline(FunctionTransformer(function), StandardScaler()), last=Ridge()
            ),
        )
        for function in (np.abs, np.log1p, np.sqrt, np.square)
    },
}


@pytest.mark.parametrize("name", PIPELINES)
def test_a_usual_pipeline_becomes_onnx(tmp_path: Path, name: str) -> None:
    columns, model = PIPELINES[name]

    chosen, tried = exported(release(tmp_path), model, columns)

    assert (chosen, [each.format for each in tried]) == ("onnx", ["onnx", "lightgbm"])
    assert tried[0].max_difference is not None
    assert (tried[0].microseconds_one_row or 0) > 0
    assert "not a LightGBM estimator" in str(tried[1].reason)


@pytest.mark.parametrize("rest", ["passthrough", "drop"])
def test_features_of_any_name_become_onnx(rest: str) -> None:
    """The converter makes a_b of `a b` and of `a,b`."""
    rows = FEATURES.select(
        pl.col("count").alias("opłata (zł)"),
        pl.col("letter").alias("a b"),
        pl.col("number").alias("a_b"),
        pl.col("flag").alias("a,b"),
        pl.col("number").sqrt().alias("variable"),
    ).drop_nulls()
    model = pipeline("a b", OneHotEncoder(sparse_output=False), rest, trees()).fit(
        rows, TRUTH[: rows.height]
    )

    output = OnnxOutput(to_onnx(model, rows))

    assert list(output.inputs) == rows.columns
    np.testing.assert_allclose(output(rows), model.predict_proba(rows), atol=1e-6)


def test_an_export_that_takes_another_branch_is_not_used(tmp_path: Path) -> None:
    """Scaling in 32 bits moves values across the splits of trees."""
    forest = RandomForestClassifier(20, random_state=1)
    staged = release(tmp_path, 'TRUSTED = ["sklearn.tree._tree.Tree"]\n')

    chosen, tried = exported(
        staged,
        linear(encoder=one_hot(sparse_output=False), last=forest),
        ["letter", "number", "number_or_none"],
    )

    assert chosen == "skops"
    assert not tried[0].ok
    assert "rows differ by more than 1e-05" in str(tried[0].reason)


def test_a_step_without_a_converter_falls_back_to_the_estimator(tmp_path: Path) -> None:
    model = make_pipeline(FunctionTransformer(np.sign), LogisticRegression())

    chosen, tried = exported(
        release(tmp_path, 'TRUSTED = ["numpy.sign"]\n'), model, ["count", "flag"]
    )

    assert chosen == "skops"
    assert "FunctionTransformer of sign is not supported" in str(tried[0].reason)
    assert "the step `functiontransformer` (FunctionTransformer) keeps it" in str(tried[0].reason)
    assert "use instead: an expression in features.py" in str(tried[0].reason)


def doubled(inputs: Any) -> Any:
    return inputs * 2


def test_a_type_that_the_source_does_not_trust_is_not_released(tmp_path: Path) -> None:
    model = make_pipeline(FunctionTransformer(doubled), LogisticRegression())

    with pytest.raises(VersionError, match=r"types that are not trusted: .*test_export\.doubled"):
        exported(release(tmp_path, "TRUSTED = []\n"), model, ["count", "flag"])


OWN_STEP = """
from sklearn.base import BaseEstimator, TransformerMixin

class Doubled(TransformerMixin, BaseEstimator):
    def fit(self, inputs, target=None):
        self.fitted_ = True
        return self

    def transform(self, inputs):
        return inputs * 2

TRUSTED = ["sample_package.model.Doubled"]
"""


def test_a_class_of_the_source_is_that_of_the_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model was made with the installed package, which the service may not have."""
    installed = tmp_path / "installed" / PACKAGE
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    (installed / "model.py").write_text(OWN_STEP)
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(tmp_path / "installed"))
        own = importlib.import_module(f"{PACKAGE}.model")
        for name in (PACKAGE, f"{PACKAGE}.model"):
            sys.modules.pop(name)
    model = make_pipeline(own.Doubled(), LogisticRegression())

    chosen, _ = exported(release(tmp_path, OWN_STEP), model, ["number", "count"])

    assert chosen == "skops"
    assert PACKAGE not in sys.modules


class Broken(TransformerMixin, BaseEstimator):
    """A step that no format can hold."""

    def fit(self, inputs: Any, target: Any = None) -> "Broken":
        self.opened_ = lambda: None
        return self

    def transform(self, inputs: Any) -> Any:
        return inputs.to_numpy()


def test_a_model_that_no_format_holds_is_refused_with_all_reasons(tmp_path: Path) -> None:
    model = make_pipeline(Broken(), LogisticRegression())

    with pytest.raises(VersionError) as error:
        exported(release(tmp_path), model, ["number", "count"])

    for each in ("onnx: ", "lightgbm: ", "skops: "):
        assert each in str(error.value)


def test_a_form_is_preferred_only_if_it_is_clearly_faster() -> None:
    assert export.select_fastest({"onnx": (30.0, 200.0), "lightgbm": (28.0, 200.0)}) == "onnx"
    assert export.select_fastest({"onnx": (30.0, 200.0), "lightgbm": (20.0, 150.0)}) == "lightgbm"
    assert export.select_fastest({"onnx": (30.0, 200.0), "lightgbm": (10.0, 900.0)}) == "onnx"
    assert export.select_fastest({"lightgbm": (30.0, 200.0)}) == "lightgbm"


@pytest.mark.parametrize(
    "encoder",
    [
        ordinal(),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan),
        OrdinalEncoder(
            handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2
        ),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, min_frequency=150),
    ],
)
def test_the_table_of_codes_does_what_the_encoder_does(encoder: OrdinalEncoder) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    features = FEATURES.select("letter_or_none", "number_or_none", "flag")
    columns = ColumnTransformer([("text", encoder, ["letter_or_none"])], remainder="passthrough")
    model = Pipeline([("columns", columns), ("model", lightgbm.LGBMClassifier(n_estimators=2))])
    model.fit(features, TRUTH)
    request = pl.DataFrame(
        {"letter_or_none": ["x", "y", "z", None, "never seen"]},
    ).with_columns(number_or_none=pl.lit(1.0), flag=pl.lit(True))

    written = json.loads(json.dumps(to_lightgbm(model, features)[1], allow_nan=False))

    names = [column["feature"] for column in written["columns"]]
    assert names == ["letter_or_none", "number_or_none", "flag"]
    table = written["columns"][0]
    codes = dict(zip(table["values"], table["codes"], strict=True)) | {None: table["missing"]}
    result = [codes.get(value, table["unknown"]) for value in request["letter_or_none"]]
    expected = model[0].transform(request)[:, 0]
    np.testing.assert_array_equal([np.nan if code is None else code for code in result], expected)


def test_a_model_that_is_more_than_coded_columns_has_no_table() -> None:
    lightgbm = pytest.importorskip("lightgbm")
    last = lightgbm.LGBMClassifier(n_estimators=2)
    model = pipeline("letter", one_hot(sparse_output=False), "passthrough", last)
    inputs = FEATURES.select("letter", "number")
    model.fit(inputs, TRUTH)

    with pytest.raises(VersionError, match="`text` is OneHotEncoder"):
        to_lightgbm(model, inputs)


def test_lightgbm_is_released_in_the_faster_form_that_answers_the_same(tmp_path: Path) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    model = pipeline(
        "letter", ordinal(), "passthrough", lightgbm.LGBMClassifier(n_estimators=30, verbose=-1)
    )

    chosen, tried = exported(release(tmp_path), model, ["letter", "number", "count"])

    assert chosen in ("onnx", "lightgbm")
    assert [(each.format, each.ok) for each in tried] == [("onnx", True), ("lightgbm", True)]
    assert tried[1].max_difference == 0


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="pickle"):
        predictor_of(release(tmp_path), {"format": "pickle", "package": PACKAGE})


LOADS_AND_ANSWERS = """
import sys
from pathlib import Path
import polars as pl
from rung_ops.model.predictors import predictor_of
predict = predictor_of(Path(sys.argv[1]), {"format": "onnx"})
print(len(predict(pl.DataFrame({"number": [1.0, 2.0]}))))
"""


def test_onnx_runtime_reports_no_usage(tmp_path: Path) -> None:
    """ONNX Runtime keeps an id in the home folder where it may send to its makers."""
    home = tmp_path / "home"
    home.mkdir()
    staged = release(tmp_path)
    (staged / bundle.ONNX).write_bytes(
        to_onnx(trees().fit(FEATURES.select("number"), TRUTH), FEATURES.select("number"))
    )

    done = subprocess.run(
        [sys.executable, "-c", LOADS_AND_ANSWERS, str(staged)],
        cwd=current().root,
        env={"HOME": str(home), "PATH": os.defpath},  # in CI it would keep still by itself
        check=True,
        capture_output=True,
        text=True,
    )

    assert done.stdout.split() == ["2"]
    assert list(home.rglob("*")) == []
