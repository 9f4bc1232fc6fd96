"""What a repository's own code trains: its rows, the target, the model and the metrics, with places.

Nothing of it runs: scripts and notebooks are parsed.
"""

import ast
import json
import re
import symtable
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from rung.core.adoption.existing import Existing

MARKS = r"sklearn|lightgbm|xgboost|catboost|torch|read_csv|read_parquet|read_table"
LIBRARIES = ("sklearn", "lightgbm", "xgboost", "catboost")
MODELS = re.compile(
    r"(?!Dummy|Voting|Stacking|OneVs|MultiOutput)\w+(Classifier|Regressor)\Z|(Logistic|Linear)Regression"
    r"(CV)?\Z|(Ridge|Lasso|ElasticNet)(CV)?\Z|(Linear)?SV[CR]\Z|(Gaussian|Bernoulli)NB\Z|BayesianRidge\Z"
)
# Arguments that say how a computer trains, not what; a project has the seed in params.toml.
LEFT_OUT = {"random_state", "n_jobs", "verbose", "verbosity", "seed", "nthread", "num_threads"}
TABLE = re.compile(r"[^\s*?{}]+\.(csv|csv\.gz|tsv|parquet)\Z")
TARGETS = re.compile(
    r"(y|target|label)s?(_?(train|all|col|column|name|var|variable))?\Z", re.IGNORECASE
)
EPOCHS = re.compile(r"(n|num|max)?_?epochs\Z", re.IGNORECASE)
# By the argument of PyTorch's and skorch's classes, the setting of a draft.
TRAINING = {
    "lr": "learning_rate",
    "weight_decay": "weight_decay",
    "momentum": "momentum",
    "batch_size": "batch_size",
    "max_epochs": "epochs",
}
# Calls that make one table of several, and arguments of theirs that other calls of these names lack.
JOINS = {"merge", "merge_asof", "join", "join_asof", "concat"}
JOINED_BY = {"on", "left_on", "left_index", "how"}
WRITES = re.compile(r"(to|write|sink)_(csv|parquet|table)\Z")
# What skorch does unless told otherwise.
SKORCH = {"optimizer": "SGD", "learning_rate": 0.01, "epochs": 10, "batch_size": 128}
# By function of PyTorch, the class of the same loss.
FUNCTIONS = {
    "cross_entropy": "CrossEntropyLoss",
    "nll_loss": "NLLLoss",
    "mse_loss": "MSELoss",
    "l1_loss": "L1Loss",
    "smooth_l1_loss": "SmoothL1Loss",
    "huber_loss": "HuberLoss",
    "binary_cross_entropy": "BCELoss",
    "binary_cross_entropy_with_logits": "BCEWithLogitsLoss",
}
LONGEST = 20_000  # characters of a network, which travel in an argument of a command
SKORCH_LOSSES = {
    "NeuralNetClassifier": "skorch's NLLLoss of probabilities",
    "NeuralNetBinaryClassifier": "BCEWithLogitsLoss",
}
# LBFGS needs the loss as a function; the modules below torch.optim have schedulers.
OPTIMIZER = re.compile(r"torch\.optim\.(?!LBFGS)[A-Z]\w*")
TRAINS = re.compile(r"train|fit|model|pipeline", re.IGNORECASE)
TESTS = re.compile(r"(^|/)tests?/|(^|/)test_|_test\.py$|(^|/)docs?/")
LEFT_BEHIND = re.compile(
    r"(^|[-_./ (])(backup\d*|bak|old|copy\d*|archived?|legacy|deprecated)([-_./ )]|$)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Place:
    """A value that the code names, and where; of a model with the arguments of its class."""

    value: str
    where: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """The file."""
        return self.where.partition(":")[0]


@dataclass
class Code:
    """What was found, in the order of likelihood; `dropped` are columns taken out of others, as targets are."""

    rows: list[Place] = field(default_factory=list)
    targets: list[Place] = field(default_factory=list)
    dropped: list[Place] = field(default_factory=list)
    models: list[Place] = field(default_factory=list)
    metrics: list[Place] = field(default_factory=list)
    joins: list[Place] = field(default_factory=list)
    # By file, how a network is trained, and by class the arguments that it is called with.
    training: dict[str, dict[str, Any]] = field(default_factory=dict)
    made: dict[str, dict[str, Any]] = field(default_factory=dict)

    def model(self, name: str = "") -> Place | None:
        """Return the model of a class, by default of the last one in the likeliest file.

        In a notebook the earlier ones were tried first.
        """
        models = [m for m in self.models if name in ("", m.value.rpartition(".")[2])]
        models = [m for m in models if not LEFT_BEHIND.search(m.path)] or models
        likeliest = [m for m in models if m.path == models[0].path]
        if not likeliest or not likeliest[-1].value.startswith("torch."):
            return likeliest[-1] if likeliest else None
        read = {place.path for place in self.rows}
        networks = [m for m in models if m.path in read and m.value.startswith("torch.")]
        # The one whose source has most in it: it is made of the others.
        found = max(networks or likeliest, key=lambda m: len(m.settings.get("source", "")))
        name = found.value.removeprefix("torch.")
        makers = [path for path, made in self.made.items() if name in made]
        maker = found.path if found.path in makers or not makers else makers[0]
        called = self.made.get(maker, {}).get(name, {"places": [], "names": {}})
        training = self.training.get(maker, {})
        return replace(found, settings={**found.settings, **training, "called": called})


def read(existing: Existing) -> Code:
    """Read the scripts and notebooks that name a framework; those called after training come first."""
    found = Code()
    paths = [path for path in existing.naming(MARKS) if not TESTS.search(path)]

    def likeliest(path: str) -> tuple[bool, bool, bool, str]:
        name = PurePosixPath(path).stem
        return (
            bool(LEFT_BEHIND.search(path)),
            path.endswith(".ipynb"),
            not TRAINS.search(name),
            path,
        )

    for path in sorted(paths, key=likeliest):
        text = existing.read(path)
        try:
            text = _of_notebook(text) if path.endswith(".ipynb") else text
            _Reader(path, found, text, existing).visit(ast.parse(text))
        except (SyntaxError, ValueError, TypeError, AttributeError, RecursionError, MemoryError):
            continue  # no Python, or no notebook
    return found


def _of_notebook(text: str) -> str:
    """Return the code of a notebook, without the commands of IPython."""
    cells = json.loads(text).get("cells", [])
    lines = [
        line
        for cell in cells
        if isinstance(cell, dict) and cell.get("cell_type") == "code"
        for line in [*"".join(cell.get("source", [])).splitlines(), ""]
    ]
    return "\n".join("" if line.lstrip().startswith(("%", "!", "?")) else line for line in lines)


def _line(node: ast.stmt) -> int:
    """Return the line that a statement begins on, that of its first decorator."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.decorator_list:
        return node.decorator_list[0].lineno
    return node.lineno


def _end(call: ast.Call) -> ast.expr:
    """Return the number of epochs of a range: of `(1, epochs + 1)` too, and of `(s, s + epochs)`."""
    last = call.args[:2][-1]
    if not isinstance(last, ast.BinOp):
        return last
    is_start = ast.unparse(last.left) == ast.unparse(call.args[0])
    return last.right if is_start else last.left


def _side_by_side(name: str, node: ast.Call) -> bool:
    """Say whether a call puts columns next to each other, as with those that are made of the same rows."""
    axes = (ast.unparse(word.value) for word in node.keywords if word.arg == "axis")
    return name == "concat" and any(axis in ("1", "'columns'") for axis in axes)


def _taken_from_outside(table: symtable.SymbolTable) -> Iterator[str]:
    """Yield the names that a statement reads and does not bind: no arguments and locals of functions."""
    for symbol in table.get_symbols():
        outside = symbol.is_global() or table.get_type() == "module"
        if symbol.is_referenced() and outside:
            yield symbol.get_name()
    for inner in table.get_children():
        yield from _taken_from_outside(inner)


class _Reader(ast.NodeVisitor):
    """Collects what one file says."""

    def __init__(self, path: str, found: Code, text: str, existing: Existing) -> None:
        self.path, self.found, self.text, self.existing = path, found, text, existing
        self.training = found.training.setdefault(path, {})
        self.made = found.made.setdefault(path, {})
        self.imported: dict[str, str] = {}
        self.constants: dict[str, Any] = {}
        self.top: list[ast.stmt] = []
        self.texts: dict[str, list[Place]] = {}  # by name, the columns that it is the text of
        self.calls: dict[str, list[ast.Call]] = {}  # by function
        self.assigned: dict[str, Any] = {}  # by name, what it is in the end

    def visit_Module(self, node: ast.Module) -> None:
        self.top = node.body
        for part in ast.walk(node):
            if isinstance(part, ast.Call):
                self.calls.setdefault(self._dotted(part.func).rpartition(".")[2], []).append(part)
            elif isinstance(part, ast.Assign):
                names = [name.id for name in part.targets if isinstance(name, ast.Name)]
                self.assigned |= dict.fromkeys(names, self._value(part.value))
        self.generic_visit(node)
        self._settle()

    def _settle(self) -> None:
        """Leave out the targets of a name that runs through several columns, as for plots."""
        several = {
            id(p)
            for texts in self.texts.values()
            if len({p.value for p in texts}) > 1
            for p in texts
        }
        self.found.targets[:] = [p for p in self.found.targets if id(p) not in several]

    def _at(self, value: str, node: ast.AST) -> Place:
        line = "" if self.path.endswith(".ipynb") else f":{getattr(node, 'lineno', 0)}"
        return Place(value, f"{self.path}{line}")

    def visit_Import(self, node: ast.Import) -> None:
        for name in node.names:
            top = name.name.split(".")[0]
            self.imported[name.asname or top] = name.name if name.asname else top

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for name in node.names:
            self.imported[name.asname or name.name] = f"{node.module}.{name.name}"

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        if any(self._dotted(base) in ("torch.nn.Module", "nn.Module") for base in node.bases):
            place = self._at(f"torch.{node.name}", node)
            self.found.models.append(replace(place, settings=self._source(node)))
        self.generic_visit(node)

    def _source(self, node: ast.ClassDef) -> dict[str, str]:
        """Return the text of a class and of all in its file that it is made of, and what it lacks."""
        defined: dict[str, ast.stmt] = {}
        for statement in self.top:
            if isinstance(statement, ast.Import | ast.ImportFrom):
                defined |= {(n.asname or n.name).split(".")[0]: statement for n in statement.names}
            elif isinstance(statement, ast.ClassDef | ast.FunctionDef):
                defined[statement.name] = statement
            elif isinstance(statement, ast.Assign | ast.AnnAssign):
                kept = (
                    statement.targets if isinstance(statement, ast.Assign) else [statement.target]
                )
                targets = (n for t in kept for n in ast.walk(t))
                defined |= {n.id: statement for n in targets if isinstance(n, ast.Name)}
        used: list[ast.stmt] = []
        waiting: list[ast.stmt] = [node]
        while waiting:
            statement = waiting.pop()
            if statement in used:
                continue
            used.append(statement)
            names = _taken_from_outside(symtable.symtable(ast.unparse(statement), "", "exec"))
            waiting += [defined[name] for name in names if name in defined]
        lacks = [
            ast.unparse(s)
            for s in used
            if isinstance(s, ast.ImportFrom | ast.Import) and self._is_own(s)
        ]
        lines = self.text.split("\n")
        parts = (
            textwrap.dedent("\n".join(lines[_line(s) - 1 : s.end_lineno]))
            for s in sorted(used, key=_line)
        )
        source = "\n\n\n".join(parts)
        if len(source) > LONGEST:
            lacks = [f"{self.path}, too long to copy"]
        elif not lacks:
            try:
                ast.parse(source)
            except SyntaxError:
                lacks = [f"{self.path}, where the class needs other code"]
        return {"source": source[:LONGEST], "lacks": "; ".join(lacks)}

    def _is_own(self, statement: ast.Import | ast.ImportFrom) -> bool:
        """Say whether an import is of the repository's own code."""
        module = statement.names[0].name
        if isinstance(statement, ast.ImportFrom):
            module = statement.module or ""
            if statement.level:
                return True
        top = module.split(".")[0]
        return any(re.search(rf"(^|/){top}(\.py|/__init__\.py)$", p) for p in self.existing.paths)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        arguments = node.args
        places = [*arguments.posonlyargs, *arguments.args]
        values = zip(
            places[len(places) - len(arguments.defaults) :], arguments.defaults, strict=True
        )
        named = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        usual = {a.arg: self._value(v) for a, v in (*values, *named) if v is not None}
        usual |= {n: self.training.get("epochs", usual[n]) for n in usual if EPOCHS.match(n)}
        takes = [a.arg for a in places if a.arg not in ("self", "cls")]
        for call in self.calls.get(node.name, []):
            passed = dict(zip(takes, call.args, strict=False))
            passed |= {word.arg: word.value for word in call.keywords if word.arg}
            known = {name: self._value(v, self.assigned) for name, v in passed.items()}
            usual |= {name: value for name, value in known.items() if value is not None}
        outside = {name: self.constants.get(name) for name in usual}
        self.constants |= usual
        trained = "optimizer" in self.training
        before, self.texts = self.texts, {}
        self.generic_visit(node)
        self._settle()
        self.texts = before
        if not trained and "optimizer" in self.training and "epochs" not in self.training:
            for name, value in usual.items():  # its loop may be in a function that it calls
                self._epochs(name, value)
        self.constants |= outside

    def _epochs(self, name: str, value: Any) -> None:
        if EPOCHS.match(name) and type(value) is int and value > 0:
            self.training["epochs"] = value

    def visit_For(self, node: ast.For) -> None:
        if isinstance(node.target, ast.Name) and "epoch" in node.target.id.lower():
            calls = (c for c in ast.walk(node.iter) if isinstance(c, ast.Call))
            ends = [_end(call) for call in calls if call.args]
            epochs = [v for v in map(self._value, ends) if type(v) is int]
            self.training |= {"epochs": epochs[-1]} if epochs else {}
        self.generic_visit(node)

    def _value(self, node: ast.expr, otherwise: Mapping[str, Any] | None = None) -> Any:
        """Return the number, text or truth that an expression is, or None; `otherwise` are further names."""
        if isinstance(node, ast.Name):
            value = self.constants.get(node.id)
            return (otherwise or {}).get(node.id) if value is None else value
        try:
            value = ast.literal_eval(node)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            return None
        return value if isinstance(value, bool | int | float | str) else None

    def visit_If(self, node: ast.If) -> None:
        before = self.texts
        self.texts = {} if node.orelse else before  # one or the other, and not both in turn
        self.generic_visit(node)
        self.texts = before

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and TABLE.match(node.value):
            self.found.rows.append(self._at(node.value, node))

    def visit_Assign(self, node: ast.Assign) -> None:
        for name in node.targets:
            if isinstance(name, ast.Name) and TARGETS.match(name.id):
                before = len(self.found.targets)
                self._column(node.value, self.found.targets)
                if isinstance(node.value, ast.Constant):
                    self.texts.setdefault(name.id, []).extend(self.found.targets[before:])
            if isinstance(name, ast.Name) and (value := self._value(node.value)) is not None:
                self.constants[name.id] = value
                self._epochs(name.id, value)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = self._dotted(node.func)
        last = name.rpartition(".")[2]
        if WRITES.match(last):
            self.visit(node.func)  # what it writes is no file that the code reads
            return
        if last[:1].isupper():
            names = {word.arg: self._value(word.value) for word in node.keywords if word.arg}
            self.made[last] = {"places": [*map(self._value, node.args)], "names": names}
        if name.startswith("sklearn.metrics."):
            self.found.metrics.append(self._at(last, node))
        elif name.split(".")[0] in LIBRARIES and MODELS.match(last):
            place = self._at(name, node)
            self.found.models.append(replace(place, settings=dict(_values(node))))
        elif re.match(r"torch\.(nn|optim|utils)\.|skorch\.", name):
            self._training(name, node)
        elif (
            last in JOINS
            and not _side_by_side(last, node)
            and (
                name.startswith(("pandas.", "polars."))
                or JOINED_BY & {w.arg for w in node.keywords}
            )
        ):
            self.found.joins.append(self._at(last, node))
        elif last in ("train_test_split", "fit") and len(node.args) > 1:
            self._column(node.args[1], self.found.targets)
        elif last == "drop":
            named = next((word.value for word in node.keywords if word.arg == "columns"), None)
            for columns in [named] if named else node.args[:1]:
                self._column(columns, self.found.dropped)
        self.generic_visit(node)

    def _training(self, name: str, node: ast.Call) -> None:
        """Take how a network is trained from a call of PyTorch or skorch."""
        last, training = name.rpartition(".")[2], self.training
        of_skorch = name.startswith("skorch.")
        taken = set(TRAINING) if of_skorch else set()
        if last.endswith("Loss"):
            training["loss"] = last
        elif name.startswith("torch.nn.functional.") and last in FUNCTIONS:
            training["loss"] = FUNCTIONS[last]
        elif OPTIMIZER.fullmatch(name):
            taken = {"lr", "weight_decay", "momentum"}
            for argument in taken:  # what an earlier optimizer was called with
                training.pop(TRAINING[argument], None)
            training["optimizer"] = last
        elif (
            last == "DataLoader" and "batch_size" not in training
        ):  # a later one is that of the test
            taken = {"batch_size"}
        elif of_skorch and last.startswith("NeuralNet") and node.args:
            words = self.made[last]["names"]
            names = {k.removeprefix("module__"): v for k, v in words.items() if "module__" in k}
            module = self._dotted(node.args[0]).rpartition(".")[2]
            self.made[module] = {"places": [], "names": names}
            training |= SKORCH | ({"loss": SKORCH_LOSSES[last]} if last in SKORCH_LOSSES else {})
        for word in node.keywords:
            value = self._value(word.value)
            if word.arg in taken and value is not None:
                training[TRAINING[word.arg]] = value
            elif word.arg == "criterion" and of_skorch:
                training["loss"] = self._dotted(word.value).rpartition(".")[2]
            elif (
                word.arg == "optimizer"
                and of_skorch
                and OPTIMIZER.fullmatch(chosen := self._dotted(word.value))
            ):
                training["optimizer"] = chosen.rpartition(".")[2]

    def _column(self, node: ast.expr, found: list[Place]) -> None:
        """Take the one column that an expression is made of, such as `frame["churn"].astype(int)`."""
        while not (column := self._named(node)):
            if isinstance(node, ast.Call):
                node = node.func
            elif isinstance(node, ast.Attribute):
                node = node.value
            else:
                return
        found.append(self._at(column, node))

    def _named(self, node: ast.expr) -> str:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            return "" if node.value.id in self.imported else node.attr
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            node = node.args[0] if node.func.attr == "pop" and len(node.args) == 1 else node
        elif isinstance(node, ast.Subscript):
            node = node.slice
        if isinstance(node, ast.List) and len(node.elts) == 1:
            node = node.elts[0]
        return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""

    def _dotted(self, node: ast.expr) -> str:
        parts = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ".".join(reversed(parts))  # of the value of a call
        return ".".join([self.imported.get(node.id, node.id), *reversed(parts)])


def _values(node: ast.Call) -> Iterator[tuple[str, Any]]:
    """Yield the arguments of a call that are written as values TOML has."""
    for word in node.keywords:
        try:
            value = ast.literal_eval(word.value)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            continue
        if word.arg and word.arg not in LEFT_OUT and isinstance(value, bool | int | float | str):
            yield word.arg, value
