"""Drafts of the project's own files read the file that they were made of, whoever wrote it."""

import ast
import csv
import gzip
import io
import json
import random
import tomllib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
import polars as pl
import pytest

from rung_ops.data.draft import columns, files, networks, table
from rung_ops.data.draft.columns import CLASS, NUMBER, TRUTH
from rung_ops.data.draft.files import main
from rung_ops.errors import UsageError
from rung_ops.gate import rules
from rung_ops.model import target as targets

ROWS = 120
DRAW = random.Random(1)
FIRST = datetime(2024, 1, 30, 7)
DAYS = [FIRST + timedelta(hours=9 * number) for number in range(ROWS)]
SIZES = [round(DRAW.uniform(1, 9_000), 2) for _ in range(ROWS)]
COLOURS = [DRAW.choice(["red", "green", "blue"]) for _ in range(ROWS)]
GOOD = [size > 4_500 for size in SIZES]


def european(number: float) -> str:
    return f"{number:,.2f}".translate(str.maketrans(",.", ".,"))


def text(header: str, rows: Iterable[Sequence[Any]], separator: str = ",", end: str = "\n") -> str:
    file = io.StringIO()
    writer = csv.writer(file, delimiter=separator, lineterminator=end)
    writer.writerows([header.split(separator), *rows])
    return file.getvalue()


ALL = list(zip(range(ROWS), DAYS, SIZES, COLOURS, GOOD, strict=True))
NOISE = [[round(DRAW.gauss(0, 1), 3) for _ in range(60)] for _ in range(ROWS)]


def semicolons() -> bytes:
    rows = ([f"{d:%d.%m.%Y}", round(s), "ja" if g else "nein"] for _, d, s, _, g in ALL)
    return text("tag;größe;gut", rows, ";").encode()


def decimal_commas() -> bytes:
    rows = ([f"{d:%d.%m.%Y %H:%M}", european(s), c] for _, d, s, c, _ in ALL)
    return text("Tag;Betrag (€);Farbe", rows, ";", "\r\n").encode("cp1252")


def two_ways_of_days() -> bytes:
    rows = ([f"{d:%Y-%m-%d}" if n % 3 else f"{d:%d/%m/%Y}", s, c] for n, d, s, c, _ in ALL)
    return text("when,size,colour", rows).encode()


def offsets() -> bytes:
    rows = ([f"{d:%Y-%m-%dT%H:%M:%S}+02:00", s, g] for _, d, s, _, g in ALL)
    return text("sent,size,good", rows).encode()


def sparse() -> bytes:
    rows = ([s if n % 9 else "", "n/a" if n % 20 else "x", NOISE[n][0]] for n, _, s, _, _ in ALL)
    return text("prediction,rare,copy", rows).encode()


def identified() -> bytes:
    rows = ([n, f"O-{n:05}", n % 7, f"0{1000 + n}", c, s] for n, _, s, c, _ in ALL)
    return text(",order_id,customer_id,postcode,colour,class", rows).encode()


def texts() -> bytes:
    rows = (
        [f'It "works",\nsaid {n}', f"the chain came off after {n % 60} km", round(s), c]
        for n, _, s, c, _ in ALL
    )
    return text("review,complaint,length,colour", rows).encode()


def missing_targets() -> bytes:
    return text("colour,price", ([c, s if n % 2 else "NA"] for n, _, s, c, _ in ALL)).encode()


def of_excel() -> bytes:
    rows = (
        [f"{d:%m/%d/%Y}", f"${s:,.2f}", f"{s / 90:.1f}%", str(g).upper()] for _, d, s, _, g in ALL
    )
    return ("\ufeffsep=;\r\n" + text("Order Date;Amount;Share;Good?", rows, ";", "\r\n")).encode()


def parquet() -> bytes:
    file = io.BytesIO()
    frame = pl.DataFrame({"at": DAYS, "size": SIZES, "many": [[1]] * ROWS, "good": GOOD})
    kinds: Any = {"size": pl.Float32, "at": pl.Datetime("ns")}
    frame = frame.with_columns(colour=pl.Series(COLOURS, dtype=pl.Categorical)).cast(kinds)
    frame.write_parquet(file)
    return file.getvalue()


def packed() -> bytes:
    return gzip.compress(missing_targets())


def tabs() -> bytes:
    rows = ([f" {s} ", " ?" if n % 7 == 0 else f" {c}", n % 2 + 1] for n, _, s, c, _ in ALL)
    return text("size\tif\tstr", rows, "\t").encode()


# By name: the file, the target, its kind, TIME, and what the model sees.
FILES: dict[str, tuple[Any, str, str, str | None, list[str]]] = {
    "a.csv": (semicolons, "gut", TRUTH, "tag", ["tag_weekday", "grosse"]),
    "b.csv": (decimal_commas, "Betrag (€)", NUMBER, "Tag", ["Tag_hour", "Farbe"]),
    "c.csv": (two_ways_of_days, "size", NUMBER, "when", ["when_weekday", "colour"]),
    "d.csv": (offsets, "good", TRUTH, "sent", ["sent_hour", "size"]),
    "f.csv": (sparse, "copy", NUMBER, None, ["prediction_", "rare"]),
    "g.csv": (identified, "class", NUMBER, None, ["colour"]),
    "h.csv": (texts, "colour", CLASS, None, ["length"]),
    "i.csv": (missing_targets, "price", NUMBER, None, ["colour"]),
    "k.csv": (of_excel, "Good?", TRUTH, "order_date", ["order_date_weekday", "Amount", "Share"]),
    "l.parquet": (parquet, "good", TRUTH, "at", ["at_hour", "size", "colour"]),
    "m.csv.gz": (packed, "price", NUMBER, None, ["colour"]),
    "n.tsv": (tabs, "str", TRUTH, None, ["size", "if_"]),
}


def drafted(folder: Path, name: str, target: str, *model: Any) -> tuple[columns.Columns, Path]:
    """Draft from a file of FILES in a folder; return what was found, and its copy in the sample."""
    raw = folder / name
    raw.write_bytes(FILES[name][0]())
    (folder / "data/sample").mkdir(parents=True)
    rows = table.read(raw)
    found = columns.infer(rows, target)
    chosen = files.choose(found, *(model or ("", {}, ())))
    written = files.write(folder, "own", rows, found, chosen)
    return found, folder / written[-1]


def module(folder: Path, name: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec((folder / f"src/own/{name}.py").read_text("utf-8"), names)
    return names


def fitted(folder: Path, sample: Path) -> tuple[pl.DataFrame, dict[str, float]]:
    """Read the sample, fit the model to it, and score it, by the drafts alone."""
    dataset, features, model = (module(folder, name) for name in ("dataset", "features", "model"))
    rows = dataset["load"](sample).filter(pl.col(dataset["TARGET"]).is_not_null())
    checked = dataset["Row"].validate(rows.select(list(dataset["Row"].to_schema().columns)))
    params = tomllib.loads((folder / "params.toml").read_text("utf-8"))
    seen = checked.select(features["FEATURES"])
    column = dataset["Row"].to_schema().columns[dataset["TARGET"]]
    classes = targets.class_names(dataset["TARGET"], column)
    truth = targets.truth(checked[dataset["TARGET"]], classes)
    estimator = model["build"](params["model"] | {"seed": 1}).fit(seen, truth)
    predict = getattr(estimator, "predict_proba", estimator.predict)
    predicted = predict(seen)
    if predicted.ndim == 2 and not classes:
        predicted = predicted[:, 1]
    scores = model["score"](truth, predicted)
    assert params["score"]["metric"] == next(iter(scores))
    return seen, scores


@pytest.mark.parametrize("name", FILES)
def test_a_draft_reads_its_file_and_learns_from_it(name: str, tmp_path: Path) -> None:
    _, target, kind, time, seen = FILES[name]

    found, sample = drafted(tmp_path, name, target)
    features, scores = fitted(tmp_path, sample)

    assert (kind, time) == (found.kind, found.time.name if found.time else None)
    assert seen == features.columns
    assert scores


def test_the_drafted_model_can_be_tuned(tmp_path: Path) -> None:
    drafted(tmp_path, "a.csv", "gut")
    params = tomllib.loads((tmp_path / "params.toml").read_text("utf-8"))["model"]
    model = module(tmp_path, "model")

    suggested = model["space"](optuna.trial.FixedTrial(params))

    assert params.keys() == suggested.keys()
    assert model["build"](params | suggested | {"seed": 1})


@pytest.mark.parametrize(("number", "told"), [(799, True), (800, False)])
def test_a_file_too_small_for_the_gate_is_told_when_it_is_drafted(
    number: int, told: bool, tmp_path: Path
) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(text("size,y", ([n % 9, n % 2] for n in range(number))), "utf-8")
    rows = table.read(file)
    found = columns.infer(rows, "y")

    lines = files.summary(rows, found, files.choose(found, "", {}, ()), [])

    assert ("199 rows are for the test; from rung 3 on no model passes" in lines) is told
    assert str(rules.Rules().min_rows) in lines or not told


@pytest.mark.parametrize(
    ("before", "refit"), [("", True), ("[split]\nrefit = false\n", False), ("[split", True)]
)
def test_a_draft_refits_if_the_example_does(before: str, refit: bool, tmp_path: Path) -> None:
    if before:
        (tmp_path / "params.toml").write_text(before)

    drafted(tmp_path, "a.csv", "gut")

    assert tomllib.loads((tmp_path / "params.toml").read_text("utf-8"))["split"]["refit"] is refit


def test_rows_to_predict_are_read_without_the_target(tmp_path: Path) -> None:
    _, sample = drafted(tmp_path, "a.csv", "gut")
    rows = pl.read_csv(sample, separator=";", infer_schema=False).drop("gut")
    rows.write_csv(tmp_path / "new.csv", separator=";")

    read = module(tmp_path, "dataset")["load"](tmp_path / "new.csv")

    assert ["tag", "grosse"] == read.columns


def test_what_identifies_a_row_or_gives_the_target_away_is_hidden_and_said(tmp_path: Path) -> None:
    found, _ = drafted(tmp_path, "g.csv", "class")
    hidden = {column.name: column.hidden for column in found.columns if column.hidden}

    assert found.identity is not None
    assert "order_id" == found.identity.name
    assert {"order_id", "customer_id", "postcode"} == hidden.keys()
    assert all(name in (tmp_path / "src/own/features.py").read_text() for name in hidden)


@pytest.mark.parametrize(
    ("name", "target", "model", "settings"),
    [
        ("a.csv", "gut", "sklearn.linear_model._logistic.LogisticRegression", {"C": 0.5}),
        ("a.csv", "gut", "sklearn.ensemble.RandomForestClassifier", {"n_estimators": 5}),
        ("a.csv", "gut", "sklearn.svm.LinearSVC", {}),
        ("b.csv", "Betrag (€)", "sklearn.linear_model.Ridge", {"alpha": 2.0}),
        ("b.csv", "Betrag (€)", "lightgbm.LGBMRegressor", {"n_estimators": 5}),
        ("h.csv", "colour", "sklearn.neighbors.KNeighborsClassifier", {"weights": "distance"}),
    ],
)
def test_the_model_of_the_code_is_built_with_its_arguments(
    name: str, target: str, model: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    _, sample = drafted(tmp_path, name, target, model, settings, ("f1_score", "r2_score"))

    _, scores = fitted(tmp_path, sample)

    text = (tmp_path / "src/own/model.py").read_text()
    assert model.rpartition(".")[2] in text
    assert next(iter(scores)) in ("f1", "r2")
    params = tomllib.loads((tmp_path / "params.toml").read_text())["model"]
    assert settings.items() <= params.items()


@pytest.mark.parametrize(
    ("model", "why"),
    [
        ("catboost.CatBoostClassifier", "CatBoostClassifier has to be wrapped"),
        ("sklearn.linear_model.Ridge", "Ridge does not predict true or false"),
    ],
)
def test_a_model_that_does_not_fit_is_replaced_and_said(
    model: str, why: str, tmp_path: Path
) -> None:
    _, sample = drafted(tmp_path, "a.csv", "gut", model, {}, ())

    fitted(tmp_path, sample)

    assert why in (tmp_path / "src/own/model.py").read_text()


NET = """\
from torch import nn


class Net(nn.Module):
    def __init__(self, n_features, hidden, rate=0.5):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(n_features, hidden), nn.Linear(hidden, 1))
"""
CALLED = {"places": [None, 8], "names": {}}


@pytest.mark.parametrize(
    ("name", "target", "loss", "predicts"),
    [
        ("c.csv", "size", "L1Loss", "* self.spread + self.middle"),
        ("d.csv", "good", "BCEWithLogitsLoss", "torch.sigmoid("),
        ("h.csv", "colour", "CrossEntropyLoss", "torch.softmax(self.network(numbers), 1)"),
    ],
)
def test_a_network_is_drafted_as_it_was_called_and_trained(
    name: str, target: str, loss: str, predicts: str, tmp_path: Path
) -> None:
    settings = {"source": NET, "called": CALLED, "loss": loss, "learning_rate": 0.01}
    settings |= {"epochs": 0, "batch_size": 1}
    found, sample = drafted(tmp_path, name, target, "torch.Net", settings, ())
    training, network = (tmp_path / f"src/own/{n}.py" for n in ("training", "network"))
    dataset, features = (module(tmp_path, name) for name in ("dataset", "features"))
    seen = dataset["load"](sample).select(features["FEATURES"])

    ast.parse((tmp_path / "src/own/model.py").read_text())
    text = " ".join(training.read_text().split())
    assert 'Net(n_features=rows.shape[1], hidden=params["hidden"])' in text
    assert f"nn.{loss}()" in text and predicts in text
    assert NET.strip() in network.read_text()
    assert set(seen.dtypes) == {pl.Float32} and seen.width == networks.width(found)
    params = tomllib.loads((tmp_path / "params.toml").read_text())["model"]
    assert {
        "hidden": 8,
        "learning_rate": 0.01,
        "epochs": 20,
        "batch_size": 2,
        "device": "cpu",
    }.items() <= params.items()


@pytest.mark.parametrize("breaks", ["", "\\\n"])
def test_a_first_layer_of_a_written_width_takes_as_many_numbers_as_there_are(
    breaks: str, tmp_path: Path
) -> None:
    source = NET.replace("n_features, hidden, rate=0.5", "")
    source = source.replace("n_features, hidden", f"99, {breaks}7")
    drafted(tmp_path, "c.csv", "size", "torch.Net", {"source": source}, ())

    network = (tmp_path / "src/own/network.py").read_text()
    assert "nn.Linear(4, 7)" in network
    assert ("# 99 in your code" in network) is not bool(breaks)
    ast.parse(network)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({}, "Net has to be wrapped"),
        ({"source": NET, "lacks": "from helpers import block"}, "needs your own modules: from h"),
        ({"source": NET.replace("Linear", "Conv1d")}, "takes more than a row of numbers"),
        ({"source": NET, "called": CALLED}, "the loss of Net is not in the code"),
        ({"source": NET, "loss": "MSELoss"}, "MSELoss does not judge true or false"),
        (
            {"source": NET, "loss": "BCELoss", "called": {"places": [3, None]}},
            "Net is called with hidden, whose value",
        ),
    ],
)
def test_a_network_that_no_draft_can_train_is_replaced_and_said(
    settings: dict[str, Any], why: str, tmp_path: Path
) -> None:
    _, sample = drafted(tmp_path, "a.csv", "gut", "torch.Net", settings, ())

    fitted(tmp_path, sample)

    assert why in (tmp_path / "src/own/model.py").read_text()


@pytest.mark.parametrize(
    ("content", "target", "sentence"),
    [
        (b"", "y", "is empty"),
        (b"y\n1\n2\n", "y", "has one column"),
        (b"5.1,3.5\n4.9,3.0\n", "3.5", "The first line"),
        (b"a,a\n1,2\n", "a", "two columns `a`"),
        (b"a,b\n1,2\n1,2,3\n", "a", "cannot be read as CSV"),
        (b"PK\x03\x04", "y", "is a workbook"),
        (b"a,Churn\n" + b"1,2\n" * 40, "churn", 'perhaps `--target "Churn"`'),
        (b"a,b\n" + b"1,2\n" * 40, "", 'Say which column to predict; perhaps `--target "b"`'),
        (b"a,y\n" + b"1,yes\n" * 40, "y", "has one value in all rows"),
        (b"a,y\n" + b"1,\n" * 40, "y", "`y` cannot be predicted"),
        (b"a,y\n1,2\n2,3\n", "y", "has 2 values in 2 rows"),
        (b"a,y\n" + b"1,2\n1,3\n" * 40, "y", "nothing is left to predict `y` from"),
        (text("a,y", ((n, DAYS[n].date()) for n in range(60))).encode(), "y", "is a time"),
        (text("a,y", ((n % 5, f"t{n}") for n in range(60))).encode(), "y", "60 different texts"),
    ],
)
def test_what_cannot_be_drafted_from_is_refused_with_a_sentence(
    content: bytes, target: str, sentence: str, tmp_path: Path
) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(content)

    with pytest.raises(UsageError) as refused:
        columns.infer(table.read(file), target)

    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("written", "later", "read_as"),
    [
        (("1.234,5", "18,9"), "18.9", 18.9),
        (("1.234.567,5", "18,9"), "2.345.678,9", 2345678.9),
        (("18,9", "7,25"), "18.9", 18.9),
        (("18,9", "7,25"), "1.234,5", None),
        (("1,234.5", "18.9"), "18,9", None),
        (("1,234,567.5", "18.9"), "2,345,678.9", 2345678.9),
    ],
)
def test_only_what_stands_between_thousands_is_left_out_of_a_number(
    written: tuple[str, str], later: str, read_as: float | None, tmp_path: Path
) -> None:
    """A mark of decimals must not vanish, which would make a later 18.9 a 189 without a word."""
    file = tmp_path / "rows.csv"
    mark = "," if "," in written[1] else "."
    rows = ([written[n % 2], n % 7, f"{n}{mark}5"] for n in range(ROWS))
    file.write_bytes(text("size;day;y", rows, ";").encode())
    found = columns.infer(table.read(file), "y")
    (size,) = (each for each in found.columns if each.raw == "size")
    values = pl.Series("size", [later])

    if read_as is None:
        with pytest.raises(pl.exceptions.InvalidOperationError):
            columns.run(values, size.read)
    else:
        assert columns.run(values, size.read).to_list() == [read_as]


def test_a_word_that_stands_among_numbers_alone_is_a_missing_value(tmp_path: Path) -> None:
    """Else a column of numbers is read as texts, of which nearly each is a category of its own."""
    gaps = ["k. A.", "Broadway", "open", "open"]
    rows = (
        gaps if n % 9 == 0 else [f"-{n},5", f"{n} Park Row", f"{n}", c] for n, _, _, c, _ in ALL
    )
    file = tmp_path / "rows.csv"
    file.write_bytes(text("warmth;street;count;state", rows, ";").encode())

    read = table.read(file)

    assert 'null_values=["k. A."]' in read.reader
    assert [14, 0, 0, 0] == [column.null_count() for column in read.frame]
    found = columns.infer(read, "state")
    told = files.summary(read, found, files.choose(found, "", {}, ()), [])
    assert told.count("`k. A.`, a word among numbers") == 1 == told.count("among numbers")


def test_the_verb_replaces_nothing_unless_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == main([json.dumps("rows.csv"), "--target", "y"])
    assert "add `--replace`" in capsys.readouterr().err
