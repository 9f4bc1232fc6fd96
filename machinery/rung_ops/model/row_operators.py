"""How columns, constants, operators and branches of an expression become Python code."""

from datetime import UTC, datetime
from struct import pack, unpack
from typing import Any

import polars as pl

from rung_ops.model.row_code import (
    Node,
    RowCode,
    Term,
    UntranslatedError,
    expression_of,
    family,
    variant,
)

ARITHMETIC = {"Plus": "{} + {}", "Minus": "{} - {}", "Multiply": "{} * {}"}
OF_INTEGERS = {"FloorDivide": "{} // {}", "Modulus": "{} % {}"}
COMPARISONS = {"Eq": "==", "NotEq": "!=", "Lt": "<", "LtEq": "<=", "Gt": ">", "GtEq": ">="}


def column(code: RowCode, node: Node, content: Any) -> Term:
    """Read a column as polars holds it: floats of 32 bits rounded, times in UTC."""
    term = code.column(content)
    dtype = term.dtype
    if isinstance(dtype, pl.Datetime):
        if dtype.time_unit == "ms" or dtype.time_zone not in (None, "UTC"):
            raise UntranslatedError(f"a column of type {dtype}")
        if dtype.time_zone is None:
            return term
        code.names["in_utc"] = in_utc
        return code.assign("in_utc({})", dtype, term)
    if dtype == pl.Float32:
        code.names["rounded_to_32"] = rounded_to_32
        return code.assign("rounded_to_32({})", dtype, term)
    if not family(dtype):
        raise UntranslatedError(f"a column of type {dtype}")
    return term


def in_utc(moment: datetime) -> datetime:
    """Convert a time to UTC; one without an offset is in UTC already."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def rounded_to_32(value: float) -> float:
    """Round to the nearest floating-point number of 32 bits."""
    return unpack("f", pack("f", value))[0]


def literal(code: RowCode, node: Node, content: Any) -> Term:
    """Take a constant, or a list of constants."""
    values = pl.select(expression_of(node)).to_series()
    single = values.explode() if isinstance(values.dtype, pl.List) else values
    if len(values) != 1 or family(single.dtype) not in ("bool", "int", "float", "str", "null"):
        raise UntranslatedError(f"a constant of type {values.dtype}")
    value = values[0]
    while isinstance(value, float) and isinstance(node, dict):
        ((_, node),) = node.items()  # polars reads a number of its JSON with an error
    return code.constant(node if isinstance(value, float) else value, values.dtype)


def cast(code: RowCode, node: Node, content: Any) -> Term:
    """Translate a cast that keeps the value, or leaves it to polars where it cannot."""
    term, dtype = code.term(content["expr"]), code.dtype(node)
    kinds = family(term.dtype), family(dtype)
    if term.dtype == dtype:
        return term
    if kinds[0] in ("bool", "int", "float") and kinds[1] == "int":
        return code.ranged("int({})", dtype, term)
    if dtype == pl.Float64 and kinds[0] in ("int", "bool", "float"):
        return code.assign("float({})", dtype, term)
    if dtype == pl.String and kinds[0] == "int":
        return code.assign("str({})", dtype, term)
    raise UntranslatedError(f"a cast of {term.dtype} to {dtype}")


def binary(code: RowCode, node: Node, content: Any) -> Term:
    """Translate an operator."""
    operator, _ = variant(content["op"])
    left, right = code.term(content["left"]), code.term(content["right"])
    if operator in COMPARISONS:
        return compared(code, COMPARISONS[operator], left, right)
    dtype = code.dtype(node)
    kind = family(dtype)
    if kind == "bool" and operator in ("And", "LogicalAnd", "Or", "LogicalOr"):
        return logical(code, operator.removeprefix("Logical"), left, right)
    if kind == "str" and operator == "Plus":
        return code.assign("{} + {}", dtype, code.cast(left, dtype), code.cast(right, dtype))
    if kind == "int" and operator in ARITHMETIC | OF_INTEGERS:
        operands = code.cast(left, dtype), code.cast(right, dtype)
        return code.ranged((ARITHMETIC | OF_INTEGERS)[operator], dtype, *operands)
    if dtype == pl.Float64 and operator in ARITHMETIC:
        operands = code.cast(left, dtype), code.cast(right, dtype)
        if 0.0 in (left.value, right.value):  # polars leaves it out, and with it the sign of a zero
            raise UntranslatedError(f"{operator} with 0")
        return code.assign(ARITHMETIC[operator], dtype, *operands)
    if dtype == pl.Float64 and operator in ("TrueDivide", "Divide"):
        left, right = code.cast(left, dtype), code.cast(right, dtype)
        if right.is_constant and right.value:  # polars multiplies by its inverse
            return code.assign("{} * {}", dtype, left, code.constant(1.0 / right.value, dtype))
        return code.assign("{} / {}", dtype, left, right)
    raise UntranslatedError(f"{operator} of {left.dtype} and {right.dtype}")


def compared(code: RowCode, sign: str, left: Term, right: Term) -> Term:
    """Compare two terms; unsure if one is NaN, which polars compares in its own way."""
    left, right = _alike(code, left, right)
    code.comparable(left, right)
    return code.assign("{} " + sign + " {}", pl.Boolean(), left, right)


def _alike(code: RowCode, left: Term, right: Term) -> tuple[Term, Term]:
    """Bring two terms to a type in which Python compares them as polars does."""
    kinds = {family(left.dtype), family(right.dtype)}
    if kinds <= {"int", "float"} and len(kinds) == 2:
        return code.cast(left, pl.Float64()), code.cast(right, pl.Float64())
    unsigned = (left.dtype == pl.UInt64) + (right.dtype == pl.UInt64)
    mixed = unsigned == 1 and not (left.is_constant or right.is_constant)
    alike = (
        len(kinds) == 1
        and "" not in kinds
        and not mixed
        and pl.Float32 not in (left.dtype, right.dtype)
    )
    if alike and (left.dtype == right.dtype or kinds == {"int"}):
        return left, right
    raise UntranslatedError(f"a comparison of {left.dtype} and {right.dtype}")


def logical(code: RowCode, operator: str, left: Term, right: Term) -> Term:
    """Translate `and` and `or` with nulls: false and null is false, true or null is true."""
    if left.dtype != pl.Boolean or right.dtype != pl.Boolean:
        raise UntranslatedError(f"{operator} of {left.dtype} and {right.dtype}")
    names, word = (left.name, right.name), operator.lower()
    if not (left.nullable or right.nullable):
        return code.assign(f"{{}} {word} {{}}", pl.Boolean(), left, right)
    decides = operator == "Or"
    text = "{2} if {0} is {2} or {1} is {2} else None if {0} is None or {1} is None else {3}"
    return code.variable(text.format(*names, decides, not decides), pl.Boolean(), nullable=True)


def ternary(code: RowCode, node: Node, content: Any) -> Term:
    """Translate when/then/otherwise: null is not true."""
    dtype = code.dtype(node)
    test = code.term(content["predicate"])
    yes, no = (code.cast(code.term(content[name]), dtype) for name in ("truthy", "falsy"))
    text = f"{yes.name} if {test.name} else {no.name}"
    return code.variable(text, dtype, yes.nullable or no.nullable)
