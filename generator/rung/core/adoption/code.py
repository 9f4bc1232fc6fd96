"""What a repository's own code trains: its rows, the target, the model and the metrics, with places.

Nothing of it runs: scripts and notebooks are parsed.
"""

import ast
import json
import re
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
TRAINS = re.compile(r"train|fit|model|pipeline", re.IGNORECASE)
TESTS = re.compile(r"(^|/)tests?/|(^|/)test_|_test\.py$|(^|/)docs?/")


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
    """What was found; of each the first is the likeliest.

    Attributes:
        rows: paths of tables, as the code has them.
        targets: columns that are predicted.
        dropped: columns that are taken out of others, as the target is.
        models: module and name of the classes of models.
        metrics: the functions of sklearn.metrics.
    """

    rows: list[Place] = field(default_factory=list)
    targets: list[Place] = field(default_factory=list)
    dropped: list[Place] = field(default_factory=list)
    models: list[Place] = field(default_factory=list)
    metrics: list[Place] = field(default_factory=list)

    @property
    def model(self) -> Place | None:
        """The last model of the likeliest file: in a notebook the earlier ones were tried first."""
        likeliest = [m for m in self.models if m.path == self.models[0].path]
        return likeliest[-1] if likeliest else None


def read(existing: Existing) -> Code:
    """Read the scripts and notebooks that name a framework or read a table.

    Those called after training come first, and notebooks last.
    """
    found = Code()
    paths = [path for path in existing.naming(MARKS) if not TESTS.search(path)]

    def likeliest(path: str) -> tuple[bool, bool, str]:
        return path.endswith(".ipynb"), not TRAINS.search(PurePosixPath(path).stem), path

    for path in sorted(paths, key=likeliest):
        text = existing.read(path)
        try:
            tree = ast.parse(_of_notebook(text) if path.endswith(".ipynb") else text)
            _Reader(path, found).visit(tree)
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


class _Reader(ast.NodeVisitor):
    """Collects what one file says."""

    def __init__(self, path: str, found: Code) -> None:
        self.path, self.found = path, found
        self.imported: dict[str, str] = {}

    def _at(self, value: str, node: ast.AST) -> Place:
        line = "" if self.path.endswith(".ipynb") else f":{getattr(node, 'lineno', 0)}"
        return Place(value, f"{self.path}{line}")

    def visit_Import(self, node: ast.Import) -> None:
        for name in node.names:
            self.imported[name.asname or name.name.split(".")[0]] = (
                name.name if name.asname else name.name.split(".")[0]
            )

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for name in node.names:
            self.imported[name.asname or name.name] = f"{node.module}.{name.name}"

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        if any(self._dotted(base) in ("torch.nn.Module", "nn.Module") for base in node.bases):
            self.found.models.append(self._at(f"torch.{node.name}", node))
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and TABLE.match(node.value):
            self.found.rows.append(self._at(node.value, node))

    def visit_Assign(self, node: ast.Assign) -> None:
        for name in node.targets:
            if isinstance(name, ast.Name) and TARGETS.match(name.id):
                self._column(node.value, self.found.targets)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = self._dotted(node.func)
        last = name.rpartition(".")[2]
        if name.startswith("sklearn.metrics."):
            self.found.metrics.append(self._at(last, node))
        elif name.split(".")[0] in LIBRARIES and MODELS.match(last):
            place = self._at(name, node)
            self.found.models.append(replace(place, settings=dict(_values(node))))
        elif last in ("train_test_split", "fit") and len(node.args) > 1:
            self._column(node.args[1], self.found.targets)
        elif last == "drop":
            named = next((word.value for word in node.keywords if word.arg == "columns"), None)
            for columns in [named] if named else node.args[:1]:
                self._column(columns, self.found.dropped)
        self.generic_visit(node)

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
        """Return the column that an expression is, if it is one."""
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
