"""The services that are compared: how each is started, asked and understood."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

JSON = "application/json"

Row = dict[str, Any]


# Lua patterns: of a number, and of the part of an answer that holds the predictions.
NUMBER = "([%d.eE+-]+)"
ONE, MANY = '"prediction":%s*([^,}]+)', '"predictions":%s*(%b[])'


@dataclass(frozen=True)
class Request:
    """One way to ask: a path, a body made of rows, and the probabilities read from the answer.

    Attributes:
        numbers: for wrk.lua: where it finds the probabilities; empty if it cannot.
    """

    path: str
    body: Callable[[list[Row]], bytes]
    answer: Callable[[bytes], list[float]]
    numbers: tuple[str, ...] = (ONE, NUMBER)
    kind: str = JSON


@dataclass(frozen=True)
class Service:
    """A server.

    Attributes:
        key: its name on the command line.
        title: its name in the tables.
        room: the environment whose programs it uses.
        command: what starts it; PORT, MODEL and SCRATCH are replaced.
        group: which target it is held to.
        one: how it is asked about one row.
        many: how it is asked about many, by the name of the form.
        settings: environment variables, with the same words; PORT+1 and PORT+2 are free too.
        folder: where it is started, below SCRATCH; among the peers' code otherwise.
        cores: that it may use: with 2 it shares the second with the client.
    """

    key: str
    title: str
    room: str
    command: str
    group: str
    one: Request
    many: dict[str, Request] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    folder: str = ""
    cores: int = 1


def _encoded(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _under(name: str) -> Callable[[list[Row]], bytes]:
    return lambda rows: _encoded({name: rows})


def _first_under(name: str) -> Callable[[list[Row]], bytes]:
    return lambda rows: _encoded({name: rows[0]})


def _split(rows: list[Row]) -> bytes:
    data = {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]}
    return _encoded({"dataframe_split": data})


def _columns(rows: list[Row]) -> bytes:
    return _encoded({"columns": {name: [row[name] for row in rows] for name in rows[0]}})


def _prediction(answer: bytes) -> list[float]:
    prediction = json.loads(answer)["prediction"]
    return prediction if isinstance(prediction, list) else [prediction]


def _predictions(answer: bytes) -> list[float]:
    return list(json.loads(answer)["predictions"])


def _second_class(answer: bytes) -> list[float]:
    return [pair[1] for pair in json.loads(answer)["predictions"]]


def _first_row(rows: list[Row]) -> bytes:
    return _encoded(rows[0])


OURS_ONE = Request("/predict", _first_row, _prediction)
SECOND = r",%s*([%d.eE+-]+)%]"
MLFLOW = Request("/invocations", _split, _second_class, (MANY, SECOND))
FASTAPI_ONE = Request("/predict", _first_row, _prediction)
FASTAPI_MANY = {"JSON": Request("/predict/many", _encoded, _predictions, (MANY, NUMBER))}
BENTO_ONE = Request("/predict", _first_under("flight"), _prediction)
BENTO_MANY = {"JSON": Request("/predict_many", _under("flights"), _predictions, (MANY, NUMBER))}
BENTO_BATCH = Request("/predict_batch", _under("flights"), json.loads, ("(%b[])", NUMBER))
LIT_ONE = Request("/predict", _first_under("rows"), _prediction)
LIT_MANY = {
    "JSON": Request("/predict", _under("rows"), _prediction, ('"prediction":%s*(%b[])', NUMBER))
}

UVICORN = "--host 127.0.0.1 --port PORT --no-access-log"
BENTO = "bentoml serve bentoml_app:Flights --host 127.0.0.1 --port PORT"
LIT = "python litserve_app.py PORT"
SKLEARN, ONNX = {"BENCHMARK_RUNTIME": "sklearn"}, {"BENCHMARK_RUNTIME": "onnx"}
SERVE = "python -m rung_ops serve --host 127.0.0.1 --port PORT"


OURS_MANY = {
    "JSON": Request("/predict", _encoded, _predictions, (MANY, NUMBER)),
    "columnar JSON": Request("/predict/batch", _columns, _predictions, (MANY, NUMBER)),
}
SERVICES: Sequence[Service] = (
    Service("rung", "Rung", "project", SERVE, "ours", OURS_ONE, OURS_MANY, folder="project"),
    Service("rung-no-log", "Rung, log off", "project", SERVE, "", OURS_ONE, folder="no-log"),
    Service(
        "rung-workers",
        "Rung, two workers on two cores",
        "project",
        SERVE,
        "",
        OURS_ONE,
        folder="workers",
        cores=2,
    ),
    Service(
        "rung-shadow",
        "Rung, every row shadowed",
        "project",
        SERVE,
        "",
        OURS_ONE,
        settings={"RELEASES": "SCRATCH/releases-shadow", "LOGS": "SCRATCH/logs-shadow"},
        folder="project",
    ),
    Service(
        "mlflow",
        "`mlflow models serve`",
        "mlflow",
        "mlflow models serve --model-uri MODEL/mlflow --env-manager local "
        "--host 127.0.0.1 --port PORT",
        "mlflow",
        MLFLOW,
        {"JSON": MLFLOW},
    ),
    Service(
        "mlserver",
        "MLServer, MLflow's runtime",
        "mlserver",
        "mlserver start MODEL/mlserver",
        "scikit-learn",
        MLFLOW,
        {"JSON": MLFLOW},
        {
            "MLSERVER_HOST": "127.0.0.1",
            "MLSERVER_HTTP_PORT": "PORT",
            "MLSERVER_GRPC_PORT": "PORT+1",
            "MLSERVER_METRICS_PORT": "PORT+2",
        },
        "model",
    ),
    Service("bentoml", "BentoML", "bentoml", BENTO, "shipped", BENTO_ONE, BENTO_MANY, SKLEARN),
    Service("bentoml-batch", "BentoML, batching", "bentoml", BENTO, "", BENTO_BATCH, {}, SKLEARN),
    Service("litserve", "LitServe", "litserve", LIT, "shipped", LIT_ONE, LIT_MANY, SKLEARN),
    Service(
        "litserve-batch",
        "LitServe, batching",
        "litserve",
        LIT,
        "",
        LIT_ONE,
        {},
        SKLEARN | {"BENCHMARK_BATCH": "64"},
    ),
    Service(
        "fastapi",
        "FastAPI, scikit-learn",
        "fastapi",
        f"uvicorn fastapi_app:app {UVICORN}",
        "scikit-learn",
        FASTAPI_ONE,
        FASTAPI_MANY,
    ),
    Service(
        "fastapi-onnx",
        "FastAPI, ONNX Runtime",
        "fastapi",
        f"uvicorn fastapi_onnx:app {UVICORN}",
        "onnx",
        FASTAPI_ONE,
        FASTAPI_MANY,
    ),
    Service(
        "bentoml-onnx",
        "BentoML, ONNX Runtime",
        "bentoml",
        BENTO,
        "onnx",
        BENTO_ONE,
        BENTO_MANY,
        ONNX,
    ),
    Service(
        "litserve-onnx", "LitServe, ONNX Runtime", "litserve", LIT, "onnx", LIT_ONE, LIT_MANY, ONNX
    ),
    Service(
        "litserve-onnx-batch",
        "LitServe, ONNX Runtime, batching",
        "litserve",
        LIT,
        "onnx",
        LIT_ONE,
        {},
        ONNX | {"BENCHMARK_BATCH": "64"},
    ),
    Service(
        "hello",
        "the floor: uvicorn says hello",
        "fastapi",
        f"uvicorn hello:app {UVICORN} --loop uvloop --http httptools",
        "floor",
        Request("/", _first_row, lambda answer: [], ()),
    ),
)
