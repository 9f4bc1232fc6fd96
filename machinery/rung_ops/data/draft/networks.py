"""Drafts of a network of PyTorch: the class that somebody's code trained, kept as ONNX."""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rung_ops.data.draft.columns import CLASS, DRAFTED, NUMBER, TRUTH, Columns
from rung_ops.data.draft.table import quoted

# A network of these takes more than a row of numbers: pictures, sequences, places in a vocabulary.
OTHERWISE = re.compile(
    r"\b(Conv\w+|LSTM\w*|GRU\w*|RNN\w*|Embedding\w*|Transformer\w*|Multihead\w+)\("
)
FEATURES = re.compile(
    r"(n|num|d|dim)?_?(in|inputs?|features?)(_?(dims?|sizes?|features?|channels|nodes|n))?\Z"
)
OUTPUTS = re.compile(
    r"((n|num|d)_?)?(out|outputs?|class(es)?)(_?(dims?|sizes?|features?|nodes))?\Z"
)
# By the kind of the target: the losses of a network, each with what makes a prediction of its output.
LOSSES = {
    NUMBER: {name: "{out}" for name in ("MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss")},
    TRUTH: {
        "BCEWithLogitsLoss": "torch.sigmoid({out})",
        "BCELoss": "{out}",
        "CrossEntropyLoss": "torch.softmax({out}, 1)[:, 1:]",
        "NLLLoss": "torch.exp({out})[:, 1:]",
    },
    CLASS: {"CrossEntropyLoss": "torch.softmax({out}, 1)", "NLLLoss": "torch.exp({out})"},
}
PLACES = ("CrossEntropyLoss", "NLLLoss")  # take the place of a class, and give a number for each
USUAL = {"learning_rate": 0.001, "batch_size": 64, "epochs": 20}


@dataclass(frozen=True)
class Network:
    """A class of PyTorch as a draft takes it over."""

    source: str  # with all in its file that it is made of
    arguments: Mapping[str, str]  # of its constructor, as Python
    loss: str
    optimizer: str
    settings: Mapping[str, Any]  # for params.toml


def taken(name: str, found: Mapping[str, Any], columns: Columns) -> Network | str:
    """Return the network, or why it cannot be the model."""
    source = str(found.get("source", ""))
    if not source:
        return f"{name} has to be wrapped: docs/frameworks.md of Rung shows how"
    if found.get("lacks"):
        return f"{name} needs your own modules: {found['lacks']}"
    if OTHERWISE.search(source):
        return f"{name} takes more than a row of numbers"
    if not width(columns):
        return f"{name} takes numbers, and no column gives any"
    losses = LOSSES[columns.kind]
    if columns.kind != NUMBER and not found.get("loss"):
        return f"the loss of {name} is not in the code"
    loss = str(found.get("loss", next(iter(losses))))
    if loss not in losses:
        return f"{loss} does not judge {columns.kind}"
    settings = {key: found.get(key, usual) for key, usual in USUAL.items()}
    for key in ("batch_size", "epochs"):
        if type(settings[key]) is not int or settings[key] < 1:
            settings[key] = USUAL[key]
    settings["batch_size"] = max(2, settings["batch_size"])  # smaller batches are left out
    settings |= {key: found[key] for key in ("weight_decay", "momentum") if key in found}
    arguments = _arguments(name, source, found.get("called", {}), columns, loss)
    unknown = [key for key, value in arguments.items() if value is None]
    if unknown:
        return f"{name} is called with {unknown[0]}, whose value is not written in the code"
    texts = {}
    for key, value in arguments.items():
        texts[key] = str(value)
        if not isinstance(value, str):
            key_of_params = key if key not in settings else f"network_{key}"
            settings[key_of_params] = value
            texts[key] = f"params[{quoted(key_of_params)}]"
    if not any(text.startswith("rows") for text in texts.values()):
        source = _of_width(name, source, width(columns))
    return Network(source, texts, loss, str(found.get("optimizer", "Adam")), settings)


def _arguments(
    name: str, source: str, called: Mapping[str, Any], columns: Columns, loss: str
) -> dict[str, Any]:
    """Return the arguments of a class by name: text is Python, None is not known."""
    made = _class(name, source)
    body = made.body if made else []
    init = [s for s in body if isinstance(s, ast.FunctionDef) and s.name == "__init__"]
    if not init:
        return {}
    names = [a.arg for a in init[0].args.args[1:]]
    spare = names[len(names) - len(init[0].args.defaults) :] if init[0].args.defaults else []
    names += [a.arg for a in init[0].args.kwonlyargs]
    passed = dict(zip(names, called.get("places", []), strict=False)) | called.get("names", {})
    outputs = 1
    if loss in PLACES:
        outputs = max(2, columns.target.values.drop_nulls().n_unique())
    arguments: dict[str, Any] = {}
    for position, argument in enumerate(names):
        if FEATURES.match(argument) or (position == 0 and passed.get(argument, 0) is None):
            arguments[argument] = "rows.shape[1]"
        elif OUTPUTS.match(argument):
            arguments[argument] = str(outputs)
        elif passed.get(argument) is not None:
            arguments[argument] = passed[argument]
        elif argument not in spare:
            arguments[argument] = None
    return arguments


def _class(name: str, source: str) -> ast.ClassDef | None:
    classes = (s for s in ast.parse(source).body if isinstance(s, ast.ClassDef))
    return next((s for s in classes if s.name == name), None)


def _of_width(name: str, source: str, numbers: int) -> str:
    """Let the first layer of a class take that many numbers, where its code says another one."""
    for call in ast.walk(_class(name, source) or ast.parse("")):
        if not isinstance(call, ast.Call) or not ast.unparse(call.func).endswith("Linear"):
            continue
        takes = call.args[0] if call.args else None
        if isinstance(takes, ast.Constant) and type(takes.value) is int and takes.value != numbers:
            lines = source.split("\n")
            line = lines[takes.lineno - 1].encode()
            before, after = line[: takes.col_offset], line[takes.end_col_offset :]
            note = "" if after.endswith(b"\\") else f"  # {takes.value} in your code"
            lines[takes.lineno - 1] = (before + str(numbers).encode() + after).decode() + note
            return "\n".join(lines)
        return source
    return source


def width(columns: Columns) -> int:
    """Return how many numbers the network takes."""
    numbers = (
        len(ast.literal_eval(column.rules.get("isin", "[]"))) if column.is_category else 1
        for column in columns.seen
    )
    return sum(numbers)


def adapt(columns: Columns) -> None:
    """Make numbers of all that the network sees; what cannot be one it does not see."""
    for column in columns.seen:
        if column.is_category and "isin" not in column.rules:
            column.feature, column.hidden = "", "text of many values, and a network takes numbers"
        elif column.is_category:
            name = quoted(column.name)
            column.feature = (
                f'*(pl.col({name}).eq_missing(value).cast(pl.Float32).alias({name[:-1]}=" + value) '
                f"for value in {column.rules['isin']})"
            )
        else:
            column.feature += ".cast(pl.Float32)"


def texts(name: str, network: Network, kind: str, score: str, imports: str) -> dict[str, str]:
    """Return the texts of the modules by name."""
    classes = kind != NUMBER
    values = {
        NUMBER: "values.ravel()",
        TRUTH: "np.hstack([1 - values, values])",
        CLASS: "values / values.sum(1, keepdims=True)",
    }[kind]
    parameters = {
        "name": name, "drafted": DRAFTED, "imports": imports, "score": score, "values": values,
        "predict": "predict_proba" if classes else "predict",
        "predicts": "the probability of each class" if classes else "the value",
        "shape": "(n_rows, n_classes)" if classes else "(n_rows,)",
    }  # fmt: skip
    number, places = kind == NUMBER, network.loss in PLACES
    flat = "" if places else ".reshape(-1, 1)"
    figures = ("middle", "spread") if number else ()
    of_kind = {
        "loss": network.loss,
        "optimizer": network.optimizer,
        "options": "".join(
            f', {key}=params["{key}"]'
            for key in ("weight_decay", "momentum")
            if key in network.settings
        ),
        "arguments": ", ".join(f"{key}={text}" for key, text in network.arguments.items()),
        "truth": f"torch.from_numpy(truth.astype(np.{'int64' if places else 'float32'})){flat}",
        "scaled": SCALED if number else "",
        "flat": flat,
        "prediction": LOSSES[kind][network.loss].format(out=f"self.network(numbers){flat}")
        + (" * self.spread + self.middle" if number else ""),
        "kept": "".join(f'\n        self.register_buffer("{name}", {name})' for name in figures),
        "declared": "".join(f"\n    {name}: torch.Tensor" for name in figures),
        "more": "".join(f", {name}: torch.Tensor" for name in figures),
        "passed": "".join(f", {name}" for name in figures),
    }
    return {
        "model": MODEL.format(**parameters),
        "training": TRAINING.format(name=name, drafted=DRAFTED, **of_kind),
        "network": SOURCE.format(name=name, source=network.source),
    }


SCALED = """
    middle, spread = values.mean(), values.std()
    values = (values - middle) / spread"""
SOURCE = '''\
# ruff: noqa
# mypy: ignore-errors
"""The network {name}, copied from your code."""

{source}
'''
MODEL = '''\
"""The model: {name} of PyTorch, kept as ONNX, so that the service needs no PyTorch.

{drafted}
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import polars as pl
{imports}


class Network:
    """A network with its training, or what was read from an ONNX file."""

    def __init__(self, params: Mapping[str, Any], onnx: bytes = b"") -> None:
        """Take the values of [model], or a file that was saved."""
        self.params, self.onnx = params, onnx
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(onnx, options) if onnx else None

    def fit(self, features: pl.DataFrame, truth: np.ndarray) -> "Network":
        """Train, and keep the network as ONNX: what predicts later is what was saved."""
        from .training import trained  # PyTorch is there only where models are trained

        return Network(self.params, trained(features.to_numpy(), truth, self.params))

    def {predict}(self, features: pl.DataFrame) -> np.ndarray:
        """Predict {predicts}, shape {shape}."""
        if self.session is None:
            raise ValueError("the network is not trained")
        (outputs,) = self.session.run(None, {{"features": features.to_numpy().astype(np.float32)}})
        values = np.asarray(outputs, np.float64)
        return {values}


def build(params: Mapping[str, Any]) -> Network:
    """Make an untrained network; `device = "cuda"` under [model] trains on a GPU."""
    return Network(dict(params))


def save(model: Network, path: Path) -> None:
    """Write the network as ONNX."""
    path.write_bytes(model.onnx)


def load(path: Path) -> Network:
    """Read it."""
    return Network({{}}, path.read_bytes())


{score}'''
TRAINING = '''\
"""The training of {name}, and the way from PyTorch to ONNX.

{drafted}
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from .network import {name}


class Whole(nn.Module):
    """The network, what fills gaps and scales before it, and what makes its output a prediction."""

    mean: torch.Tensor
    scale: torch.Tensor{declared}

    def __init__(self, network: nn.Module, mean: torch.Tensor, scale: torch.Tensor{more}) -> None:
        """Keep the figures of the training rows."""
        super().__init__()
        self.network = network
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale){kept}

    def numbers(self, rows: torch.Tensor) -> torch.Tensor:
        """Put the mean where a value is missing, and scale."""
        return (torch.where(torch.isnan(rows), self.mean, rows) - self.mean) / self.scale

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Predict."""
        numbers = self.numbers(rows)
        return {prediction}


def trained(features: np.ndarray, truth: np.ndarray, params: Mapping[str, Any]) -> bytes:
    """Train a network on some rows, shape (n_rows, n_features); return it as ONNX."""
    torch.manual_seed(params["seed"])
    device = params["device"]
    rows = torch.from_numpy(features.astype(np.float32)).to(device)
    values = {truth}.to(device){scaled}
    mean = torch.nan_to_num(rows.nanmean(0))
    scale = ((rows - mean) ** 2).nanmean(0).sqrt()
    scale = torch.where(scale > 0, scale, 1.0)
    network = {name}({arguments}).to(device)
    whole = Whole(network, mean, scale{passed}).to(device)
    numbers = whole.numbers(rows)
    optimizer = torch.optim.{optimizer}(network.parameters(), lr=params["learning_rate"]{options})
    judge = nn.{loss}()
    for _ in range(params["epochs"]):
        for chosen in torch.randperm(len(rows)).split(params["batch_size"]):
            if len(chosen) == 1:  # a batch cannot be scaled by its own row
                continue
            optimizer.zero_grad()
            judge(network(numbers[chosen]){flat}, values[chosen]).backward()
            optimizer.step()
    return _onnx(whole.cpu().eval(), rows[:1].cpu())


def _onnx(network: nn.Module, example: torch.Tensor) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "network.onnx")
        torch.onnx.export(
            network,
            (example,),
            file,
            input_names=["features"],
            output_names=["prediction"],
            dynamic_axes={{"features": {{0: "rows"}}, "prediction": {{0: "rows"}}}},  # any number
            dynamo=False,
        )
        return file.read_bytes()
'''
