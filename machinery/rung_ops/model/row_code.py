"""Translate expressions of polars into Python code that computes one row.

Only what gives the same bits is translated: of any other node or type UntranslatedError says which. What
values decide is decided when the code runs: it raises an error where it meets an overflow, a division
by zero, NaN in a comparison or a text beyond ASCII, and the row is polars' to compute.
"""

import io
import json
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import polars as pl

from rung_ops.model.source_import import FAULTS
from rung_ops.model.value_types import INTEGERS

Node = Any  # of an expression, as polars writes it in JSON
Function = Callable[..., tuple[Any, ...]]


class UntranslatedError(Exception):
    """An expression holds something that Python may compute otherwise; the message says what."""


class Term(NamedTuple):
    """What a node gives.

    Attributes:
        name: of the variable that holds it.
        dtype: its type in polars. A float is held as a Python float of the same value.
        nullable: it may be None.
        value: of a constant; `...` for what depends on the row.
    """

    name: str
    dtype: pl.DataType
    nullable: bool
    value: Any = ...

    @property
    def is_constant(self) -> bool:
        """Whether it is the same for all rows, and no null."""
        return self.value is not ... and self.value is not None


class RowCode:
    """Statements that compute the terms of expressions, each of them once."""

    def __init__(
        self,
        schema: Mapping[str, pl.DataType],
        nullable: Sequence[str],
        nodes: Mapping[str, Callable[["RowCode", Node, Any], Term]],
    ) -> None:
        """Begin with none.

        Args:
            schema: names and types of the columns of a row.
            nullable: names of those that may be null.
            nodes: what translates a node, by its name in polars' JSON.
        """
        self._nodes = nodes
        self._empty = pl.DataFrame(schema=dict(schema))
        self._terms: dict[str, Term] = {}
        self._lines: list[str] = []
        self.names: dict[str, Any] = {"math": math, "unsure": unsure}
        self._columns = {
            name: Term(f"c{number}", dtype, name in nullable)
            for number, (name, dtype) in enumerate(schema.items())
        }

    def function(self, expressions: Sequence[pl.Expr]) -> Function:
        """Compile a function that takes the values of a row and returns those of the expressions.

        Raises:
            UntranslatedError: one of the expressions cannot be translated.
        """
        terms = [self._feature(expression) for expression in expressions]
        returned = ", ".join(term.name for term in terms)
        given = ", ".join(term.name for term in self._columns.values())
        lines = "".join(f"    {line}\n" for line in self._lines)
        source = f"def compute({given}):\n{lines}    return ({returned},)\n"
        exec(compile(source, "<features>", "exec"), self.names)
        return self.names["compute"]

    def _feature(self, expression: pl.Expr) -> Term:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # its JSON may change, and then this refuses it
                node = json.loads(expression.meta.serialize(format="json"))
            term = self.term(node)
            if term.value is not ...:
                raise UntranslatedError("it reads no column")
            if family(term.dtype) not in ("bool", "int", "float", "str"):
                raise UntranslatedError(f"its type is {term.dtype}")
        except (UntranslatedError, *FAULTS) as error:
            name = expression.meta.output_name(raise_if_undetermined=False)
            raise UntranslatedError(f"`{name}`: {error}") from None
        if term.dtype in (pl.Int64, pl.UInt64):  # models take floating-point numbers
            self._stop_unless(f"-{2**53} <= {{}} <= {2**53}", term)
        return term

    def term(self, node: Node) -> Term:
        """Translate a node, once.

        Raises:
            UntranslatedError: it cannot be.
        """
        key = json.dumps(node)
        if key not in self._terms:
            self._terms[key] = self._translated(node)
        return self._terms[key]

    def column(self, name: str) -> Term:
        """Return the term of a column as the row has it."""
        if name not in self._columns:
            raise UntranslatedError(f"`{name}` is not a column of the contract")
        return self._columns[name]

    def dtype(self, node: Node) -> pl.DataType:
        """Return the type that polars gives to a node."""
        return self._empty.select(expression_of(node)).dtypes[0]

    def assign(self, code: str, dtype: pl.DataType, *operands: Term) -> Term:
        """Assign code to a new variable; null if an operand is.

        Args:
            code: with `{}` for each operand.
            dtype: of what it gives.
            operands: terms of it.
        """
        code = code.format(*(operand.name for operand in operands))
        nullable = dict.fromkeys(operand.name for operand in operands if operand.nullable)
        if nullable:
            test = " or ".join(f"{name} is None" for name in nullable)
            code = f"None if {test} else {code}"
        return self.variable(code, dtype, bool(nullable))

    def variable(self, code: str, dtype: pl.DataType, nullable: bool) -> Term:
        """Assign code to a new variable."""
        term = Term(f"v{len(self._lines)}", dtype, nullable)
        self._lines.append(f"{term.name} = {code}")
        return term

    def ranged(self, code: str, dtype: pl.DataType, *operands: Term) -> Term:
        """Assign code that gives a whole number; unsure if it does not fit the type."""
        term = self.assign(code, dtype, *operands)
        least, most = INTEGERS[str(dtype)]
        self._stop_unless(f"{least} <= {{}} <= {most}", term)
        return term

    def comparable(self, *terms: Term) -> None:
        """Be unsure if one of the terms is NaN, which polars compares in its own way."""
        for term in terms:
            if family(term.dtype) == "float" and not term.is_constant:
                self._stop_unless("{0} == {0}", term)

    def constant(self, value: Any, dtype: pl.DataType) -> Term:
        """Give a value of all rows a name."""
        name = f"k{len(self.names)}"
        self.names[name] = value
        return Term(name, dtype, value is None, value)

    def cast(self, term: Term, dtype: pl.DataType) -> Term:
        """Convert to a type that holds every value, as polars does where types meet.

        Raises:
            UntranslatedError: it does not hold them, or rounds them.
        """
        if term.dtype == dtype:
            return term
        if term.value is None:
            return term._replace(dtype=dtype)
        kinds = family(term.dtype), family(dtype)
        if kinds == ("int", "int"):
            least, most = INTEGERS[str(dtype)]
            low, high = (term.value,) * 2 if term.is_constant else INTEGERS[str(term.dtype)]
            if least <= low and high <= most:
                return term._replace(dtype=dtype)
        if dtype == pl.Float64 and kinds[0] in ("int", "float"):
            if term.is_constant:
                return self.constant(float(term.value), dtype)
            return self.assign("float({})", dtype, term)
        raise UntranslatedError(f"{term.dtype} becomes {dtype}")

    def unsure_if(self, condition: str) -> None:
        """Leave rows to polars of which a condition is true."""
        self._lines.append(f"if {condition}: unsure()")

    def _stop_unless(self, condition: str, term: Term) -> None:
        condition = f"not {condition}".format(term.name)
        known = f"{term.name} is not None and " if term.nullable else ""
        self.unsure_if(known + condition)

    def _translated(self, node: Node) -> Term:
        kind, content = variant(node)
        if kind == "Alias":
            return self.term(content[0])
        if kind not in self._nodes:
            raise UntranslatedError(f"{kind} is not translated")
        if kind != "Literal" and not _has_column(node):
            raise UntranslatedError("a part of it is the same for all rows")
        return self._nodes[kind](self, node, content)


def unsure() -> None:
    """Leave the row to polars."""
    raise ArithmeticError


def variant(node: Node) -> tuple[str, Any]:
    """Split what polars writes of an enumeration into its name and its content."""
    if isinstance(node, dict) and len(node) == 1:
        return next(iter(node.items()))
    return str(node), None


def family(dtype: pl.DataType) -> str:
    """Name the kind of a type: bool, int, float, str, date, datetime; empty for any other."""
    if dtype in (pl.Boolean, pl.String, pl.Date, pl.Null):
        return {"Boolean": "bool", "String": "str", "Date": "date", "Null": "null"}[str(dtype)]
    if str(dtype) in INTEGERS:
        return "int"
    if dtype in (pl.Float32, pl.Float64):
        return "float"
    return "datetime" if isinstance(dtype, pl.Datetime) else ""


def expression_of(node: Node) -> pl.Expr:
    """Read a node back."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pl.Expr.deserialize(io.StringIO(json.dumps(node)), format="json")


def _has_column(node: Node) -> bool:
    if isinstance(node, dict):
        return any(key in ("Column", "Selector") or _has_column(each) for key, each in node.items())
    return isinstance(node, list) and any(map(_has_column, node))
