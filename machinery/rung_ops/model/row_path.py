"""Compute the features of few rows one by one, where that gives the same bits as polars.

A select costs some ten microseconds for each expression, for one row as for a thousand; the same
arithmetic in Python takes one. So the expressions of FEATURES are translated into Python code that
computes one row, and compared with polars before they are used.

Only what gives the same bits is translated: of any other node or type UntranslatedError says which.
What values decide is decided when the code runs: it raises an error where it meets an overflow, a
division by zero, NaN in a comparison or a text beyond ASCII, and Polars computes the row.
"""

import io
import json
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from struct import pack, unpack
from typing import Any, NamedTuple

import polars as pl

from rung_ops.model.columns import INTEGERS, family_of
from rung_ops.model.rows import Layout, RowValues, Values, layout_of
from rung_ops.model.source_import import FAULTS

Node = Any  # of an expression, as polars writes it in JSON
Function = Callable[..., tuple[Any, ...]]


class UntranslatedError(Exception):
    """An expression holds something that Python may compute otherwise; the message says what."""


class Term(NamedTuple):
    """What a node gives."""

    name: str  # of the variable that holds it
    dtype: pl.DataType  # in polars; a float is held as a Python float of the same value
    nullable: bool
    value: Any = ...  # of a constant; `...` for what depends on the row

    @property
    def is_constant(self) -> bool:
        """Whether it is the same for all rows, and no null."""
        return self.value is not ... and self.value is not None


class RowCode:
    """Statements that compute the terms of expressions, each of them once."""

    def __init__(self, schema: Mapping[str, pl.DataType], nullable: Sequence[str]) -> None:
        self._empty = pl.DataFrame(schema=dict(schema))
        self._terms: dict[str, Term] = {}
        self._lines: list[str] = []
        called = in_utc, rounded_to_32, rounded, ascii_only, unsure
        self.names: dict[str, Any] = {each.__name__: each for each in called} | {"math": math}
        self._columns = {
            name: Term(f"c{number}", dtype, name in nullable)
            for number, (name, dtype) in enumerate(schema.items())
        }

    def function(self, expressions: Sequence[pl.Expr]) -> Function:
        """Compile a function of the values of a row, which returns those of the expressions."""
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
        """Translate a node, once."""
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
        """Assign code, with `{}` for each operand, to a new variable; null if an operand is."""
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

    def _stop_unless(self, condition: str, term: Term) -> None:
        known = f"{term.name} is not None and " if term.nullable else ""
        self._lines.append(f"if {known}not {condition.format(term.name)}: unsure()")

    def _translated(self, node: Node) -> Term:
        kind, content = variant(node)
        if kind == "Alias":
            return self.term(content[0])
        if kind not in NODES:
            raise UntranslatedError(f"{kind} is not translated")
        if kind != "Literal" and not _has_column(node):
            raise UntranslatedError("a part of it is the same for all rows")
        return NODES[kind](self, node, content)


def unsure() -> None:
    """Leave the row to polars."""
    raise ArithmeticError


def variant(node: Node) -> tuple[str, Any]:
    """Split what polars writes of an enumeration into its name and its content."""
    if isinstance(node, dict) and len(node) == 1:
        return next(iter(node.items()))
    return str(node), None


def family(dtype: pl.DataType) -> str:
    """Name the kind of a type as family_of() does, or null; empty for any other."""
    if dtype == pl.Null:
        return "null"
    try:
        return family_of(dtype)
    except ValueError:
        return ""


def expression_of(node: Node) -> pl.Expr:
    """Read a node back."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pl.Expr.deserialize(io.StringIO(json.dumps(node)), format="json")


def _has_column(node: Node) -> bool:
    if isinstance(node, dict):
        return any(key in ("Column", "Selector") or _has_column(each) for key, each in node.items())
    return isinstance(node, list) and any(map(_has_column, node))


ARITHMETIC = {"Plus": "{} + {}", "Minus": "{} - {}", "Multiply": "{} * {}"}
OF_INTEGERS = {"FloorDivide": "{} // {}", "Modulus": "{} % {}"}
COMPARISONS = {"Eq": "==", "NotEq": "!=", "Lt": "<", "LtEq": "<=", "Gt": ">", "GtEq": ">="}


def _column(code: RowCode, node: Node, content: Any) -> Term:
    """Read a column as polars holds it: floats of 32 bits rounded, times in UTC."""
    term = code.column(content)
    dtype = term.dtype
    if isinstance(dtype, pl.Datetime):
        if dtype.time_unit == "ms" or dtype.time_zone not in (None, "UTC"):
            raise UntranslatedError(f"a column of type {dtype}")
        if dtype.time_zone is None:
            return term
        return code.assign("in_utc({})", dtype, term)
    if dtype == pl.Float32:
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


def _literal(code: RowCode, node: Node, content: Any) -> Term:
    """Take a constant, or a list of constants."""
    values = pl.select(expression_of(node)).to_series()
    single = values.explode() if isinstance(values.dtype, pl.List) else values
    if len(values) != 1 or family(single.dtype) not in ("bool", "int", "float", "str", "null"):
        raise UntranslatedError(f"a constant of type {values.dtype}")
    value = values[0]
    while isinstance(value, float) and isinstance(node, dict):
        ((_, node),) = node.items()  # polars reads a number of its JSON with an error
    return code.constant(node if isinstance(value, float) else value, values.dtype)


def _cast(code: RowCode, node: Node, content: Any) -> Term:
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


def _binary(code: RowCode, node: Node, content: Any) -> Term:
    """Translate an operator."""
    operator, _ = variant(content["op"])
    left, right = code.term(content["left"]), code.term(content["right"])
    if operator in COMPARISONS:
        return _compared(code, COMPARISONS[operator], left, right)
    dtype = code.dtype(node)
    kind = family(dtype)
    if kind == "bool" and operator in ("And", "LogicalAnd", "Or", "LogicalOr"):
        return _logical(code, operator.removeprefix("Logical"), left, right)
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


def _compared(code: RowCode, sign: str, left: Term, right: Term) -> Term:
    """Compare two terms; unsure if one is NaN, which polars compares in its own way."""
    left, right = _alike(code, left, right)
    code.comparable(left, right)
    return code.assign("{} " + sign + " {}", pl.Boolean(), left, right)


def _alike(code: RowCode, left: Term, right: Term) -> tuple[Term, Term]:
    """Bring two terms to a type in which Python compares them as polars does."""
    dtypes = left.dtype, right.dtype
    kinds = set(map(family, dtypes))
    if kinds == {"int", "float"}:
        return code.cast(left, pl.Float64()), code.cast(right, pl.Float64())
    mixed = dtypes.count(pl.UInt64()) == 1 and not (left.is_constant or right.is_constant)
    is_same = left.dtype == right.dtype or kinds == {"int"}
    if is_same and kinds != {""} and not mixed and pl.Float32 not in dtypes:
        return left, right
    raise UntranslatedError(f"a comparison of {left.dtype} and {right.dtype}")


def _logical(code: RowCode, operator: str, left: Term, right: Term) -> Term:
    """Translate `and` and `or` with nulls: false and null is false, true or null is true."""
    if left.dtype != pl.Boolean or right.dtype != pl.Boolean:
        raise UntranslatedError(f"{operator} of {left.dtype} and {right.dtype}")
    names, word = (left.name, right.name), operator.lower()
    if not (left.nullable or right.nullable):
        return code.assign(f"{{}} {word} {{}}", pl.Boolean(), left, right)
    decides = operator == "Or"
    text = "{2} if {0} is {2} or {1} is {2} else None if {0} is None or {1} is None else {3}"
    return code.variable(text.format(*names, decides, not decides), pl.Boolean(), nullable=True)


def _ternary(code: RowCode, node: Node, content: Any) -> Term:
    """Translate when/then/otherwise: null is not true."""
    dtype = code.dtype(node)
    test = code.term(content["predicate"])
    yes, no = (code.cast(code.term(content[name]), dtype) for name in ("truthy", "falsy"))
    text = f"{yes.name} if {test.name} else {no.name}"
    return code.variable(text, dtype, yes.nullable or no.nullable)


PARTS = {
    "Year": "{}.year",
    "Quarter": "({}.month + 2) // 3",
    "Month": "{}.month",
    "Week": "{}.isocalendar()[1]",
    "WeekDay": "{}.isoweekday()",
    "Day": "{}.day",
    "OrdinalDay": "{}.timetuple().tm_yday",
    "Hour": "{}.hour",
    "Minute": "{}.minute",
    "Second": "{}.second",
}
# Of numbers as floats. What is outside of their domain raises an error in Python: polars' to compute.
FLOAT_FUNCTIONS = {
    "Exp": "math.exp({})",
    "Log1p": "math.log1p({})",
    "Sin": "math.sin({})",
    "Cos": "math.cos({})",
}
SIGNS = {"Abs": "abs({})", "Negate": "-{}"}
NULL_TESTS = {"IsNull": "{} is None", "IsNotNull": "{} is not None"}
TEXT_METHODS = {
    "LenChars": "len({})",
    "Lowercase": "ascii_only({}).lower()",
    "Uppercase": "ascii_only({}).upper()",
    "StartsWith": "{}.startswith({})",
    "EndsWith": "{}.endswith({})",
}


def _function(code: RowCode, node: Node, content: Any) -> Term:
    """Translate a function by its name."""
    name, options = variant(content["function"])
    functions = NAMESPACES.get(name, FUNCTIONS)
    if functions is not FUNCTIONS:
        name, options = variant(options)
    if name not in functions:
        raise UntranslatedError(f"{name} is not translated")
    terms = [code.term(each) for each in content["input"]]
    return functions[name](code, node, terms, name, options)


def _of_float(code: RowCode, node: Node, terms: list[Term], name: str, options: Any) -> Term:
    return _float(code, FLOAT_FUNCTIONS[name], terms[0])


def _float(code: RowCode, text: str, term: Term) -> Term:
    if term.dtype == pl.Float32:
        raise UntranslatedError(f"a function of {term.dtype}")
    return code.assign(text, pl.Float64(), code.cast(term, pl.Float64()))


def _part_of_time(code: RowCode, node: Node, terms: list[Term], name: str, options: Any) -> Term:
    if family(terms[0].dtype) not in ("date", "datetime"):
        raise UntranslatedError(f"dt.{name} of {terms[0].dtype}")
    return code.assign(PARTS[name], code.dtype(node), terms[0])


def _log(code: RowCode, node: Node, terms: list[Term], name: str, options: Any) -> Term:
    base = terms[1].value if len(terms) > 1 else (options or {}).get("base")
    if base != math.e:
        raise UntranslatedError("log to another base than e")
    return _float(code, "math.log({})", terms[0])


def _round(code: RowCode, node: Node, terms: list[Term], name: str, options: Any) -> Term:
    term = terms[0]
    if family(term.dtype) == "int":
        return term
    if term.dtype != pl.Float64 or options.get("mode") not in ("HalfToEven", None):
        raise UntranslatedError(f"round of {term.dtype}")
    power = code.constant(float(10 ** options["decimals"]), pl.Float64())
    return code.assign("rounded({}, {})", term.dtype, term, power)


def rounded(value: float, power: float) -> float:
    """Round to a multiple of 1 / power, halves to even; the sign of a zero is kept."""
    scaled = value * power
    return math.copysign(round(scaled), scaled) / power


def _sign(code: RowCode, node: Node, terms: list[Term], name: str, options: Any) -> Term:
    (term,) = terms
    if term.dtype.is_signed_integer():
        return code.ranged(SIGNS[name], term.dtype, term)
    if term.dtype != pl.Float64:
        raise UntranslatedError(f"{name} of {term.dtype}")
    return code.assign(SIGNS[name], term.dtype, term)


def _sqrt(code: RowCode, node: Node, terms: list[Term], name: str, options: Any) -> Term:
    if options != "Sqrt":
        raise UntranslatedError("a power other than the square root")
    return _float(code, "math.sqrt({})", terms[0])


def _clip(code: RowCode, node: Node, terms: list[Term], name: str, options: Any) -> Term:
    dtype = code.dtype(node)
    if family(dtype) not in ("int", "float") or not all(each.is_constant for each in terms[1:]):
        raise UntranslatedError(f"clip of {dtype}, or between columns")
    limits = [code.cast(each, dtype) for each in terms[1:]]
    text = "{0}"
    if options["has_max"]:
        text = f"{limits[-1].name} if {{0}} > {limits[-1].name} else {text}"
    if options["has_min"]:
        text = f"{limits[0].name} if {{0}} < {limits[0].name} else {text}"
    return code.assign(text, dtype, code.cast(terms[0], dtype))


def _first_known(code: RowCode, node: Node, terms: list[Term], name: str, options: Any) -> Term:
    """Translate fill_null and coalesce: the first that is not null."""
    dtype = code.dtype(node)
    *others, last = [code.cast(term, dtype) for term in terms]
    text = "".join(f"{each.name} if {each.name} is not None else " for each in others) + last.name
    nullable = all(each.nullable for each in (*others, last))
    return code.variable(text, dtype, nullable)


def _null_test(code: RowCode, node: Node, terms: list[Term], name: str, options: Any) -> Term:
    return code.variable(NULL_TESTS[name].format(terms[0].name), pl.Boolean(), nullable=False)


def _not(code: RowCode, node: Node, terms: list[Term], name: str, options: Any) -> Term:
    if terms[0].dtype != pl.Boolean:
        raise UntranslatedError(f"not of {terms[0].dtype}")
    return code.assign("not {}", pl.Boolean(), terms[0])


def _is_in(code: RowCode, node: Node, terms: list[Term], name: str, options: Any) -> Term:
    term, values = terms
    listed = _listed(values)
    if listed is None or listed.null_count() or not _hashable(term, listed.dtype):
        raise UntranslatedError(f"is_in of {term.dtype} among {values.dtype}")
    allowed = code.constant(frozenset(listed.to_list()), values.dtype)
    return code.assign(f"{{}} in {allowed.name}", pl.Boolean(), term)


def _is_between(code: RowCode, node: Node, terms: list[Term], name: str, options: Any) -> Term:
    closed = options["closed"]
    if "float" in {family(term.dtype) for term in terms}:
        terms = [code.cast(term, pl.Float64()) for term in terms]
    low = _compared(code, ">=" if closed in ("Both", "Left") else ">", terms[0], terms[1])
    high = _compared(code, "<=" if closed in ("Both", "Right") else "<", terms[0], terms[2])
    return _logical(code, "And", low, high)


def _replace(code: RowCode, node: Node, terms: list[Term], name: str, options: Any) -> Term:
    """Translate a look-up among constants; polars fails where it has to find a value and does not."""
    dtype = code.dtype(node)
    term, (old, new) = terms[0], map(_listed, terms[1:3])
    if old is None or new is None or not _hashable(term, old.dtype) or old.null_count():
        raise UntranslatedError(f"{name} of {term.dtype}")
    values = [code.cast(code.constant(each, new.dtype), dtype).value for each in new.to_list()]
    pairs = zip(old.to_list(), values if len(values) > 1 else values * len(old), strict=True)
    if len(terms) > 3 or name == "Replace":
        other = code.cast(terms[3] if len(terms) > 3 else term, dtype)
        table = code.constant(dict(pairs), dtype)
        text = f"{table.name}.get({term.name}, {other.name})"
        return code.variable(text, dtype, other.nullable or None in values)
    table = code.constant({**dict(pairs), None: None}, dtype)
    return code.variable(f"{table.name}[{term.name}]", dtype, term.nullable or None in values)


def _hashable(term: Term, dtype: pl.DataType) -> bool:
    """Tell whether Python finds the values of a term among such of a type as polars does."""
    return family(term.dtype) == family(dtype) and family(dtype) in ("int", "str")


def _listed(term: Term) -> pl.Series | None:
    """Return the values of a constant that is a list."""
    if isinstance(term.value, pl.Series):
        return term.value
    return pl.Series([term.value], dtype=term.dtype) if term.is_constant else None


def _text(code: RowCode, node: Node, terms: list[Term], name: str, options: Any) -> Term:
    if any(term.dtype != pl.String for term in terms):
        raise UntranslatedError(f"str.{name}")
    return code.assign(TEXT_METHODS[name], code.dtype(node), *terms)


def ascii_only(text: str) -> str:
    """Return the text; beyond ASCII the tables of Unicode may be of two versions."""
    if not text.isascii():
        raise ValueError
    return text


Translate = Callable[[RowCode, Node, list[Term], str, Any], Term]
FUNCTIONS: dict[str, Translate] = {
    **dict.fromkeys(("Exp", "Log1p"), _of_float),
    **dict.fromkeys(SIGNS, _sign),
    "Clip": _clip,
    "Coalesce": _first_known,
    "FillNull": _first_known,
    "Log": _log,
    "Pow": _sqrt,
    "Replace": _replace,
    "ReplaceStrict": _replace,
    "Round": _round,
}
NAMESPACES: dict[str, dict[str, Translate]] = {
    "Boolean": {
        **dict.fromkeys(NULL_TESTS, _null_test),
        "Not": _not,
        "IsIn": _is_in,
        "IsBetween": _is_between,
    },
    "StringExpr": dict.fromkeys(TEXT_METHODS, _text),
    "TemporalExpr": dict.fromkeys(PARTS, _part_of_time),
    "Trigonometry": dict.fromkeys(("Sin", "Cos"), _of_float),
}
NODES: dict[str, Callable[[RowCode, Node, Any], Term]] = {
    "BinaryExpr": _binary,
    "Cast": _cast,
    "Column": _column,
    "Function": _function,
    "Literal": _literal,
    "Ternary": _ternary,
}
MAX_ROWS = 128  # with twenty features, polars takes less time from some 400 on
MAX_UNSURE = 0.5  # share of the rows that may be left to polars; with more, trying does not pay
EDGE_ROWS = 3  # rows that get each value of edges()
EDGE_TEXTS = ("", " ", "a", "Ä", "ß", "\u0130", "zz" * 50)
EDGE_TIMES = (
    *(datetime(2023, 12, 31, 23, 59, 59, 999_999), datetime(2024, 1, 1), datetime(2024, 2, 29, 12)),
    *(datetime(2024, 12, 31), datetime(2021, 1, 3, 0, 0, 1), datetime(1969, 7, 20, 20, 17, 40)),
)


class RowFeatures(NamedTuple):
    """The features of a release, as a function of one row; it raises where Polars must compute."""

    compute: Callable[..., Values]
    schema: dict[str, pl.DataType]
    layout: Layout

    def compute_rows(self, rows: RowValues) -> RowValues | None:
        """Compute the features of rows; None where polars has to."""
        compute = self.compute
        try:
            return RowValues([compute(*row) for row in rows.rows], self.layout)
        except Exception:  # whatever it is, polars computes them
            return None


def contract_features(
    expressions: Sequence[pl.Expr],
    contract: Mapping[str, Any],
    schema: Mapping[str, pl.DataType],
    rows: pl.DataFrame,
) -> RowFeatures:
    """Translate FEATURES of a release as row_features() does."""
    columns = contract["columns"]
    nullable = [c["name"] for c in columns if not c["required"] and c["default"] is None]
    return row_features(expressions, schema, nullable, rows)


def row_features(
    expressions: Sequence[pl.Expr],
    schema: Mapping[str, pl.DataType],
    nullable: Sequence[str],
    rows: pl.DataFrame,
) -> RowFeatures:
    """Translate expressions, and compare with polars on rows and on values at the edges of types.

    `schema` names the columns of a row in the order of the values, `nullable` those that may be
    null.

    Raises:
        UntranslatedError: they cannot be computed so; the message says why.
    """
    compute = RowCode(schema, nullable).function(expressions)
    required = [name for name in schema if name not in nullable]
    rows = rows.select(list(schema)).drop_nulls(required)
    some = rows.head(EDGE_ROWS)
    try:
        features = dict(some.select(expressions).schema)
    except FAULTS:  # its message may name values of a person
        raise UntranslatedError("polars fails on rows of the data") from None
    made = RowFeatures(compute, features, layout_of(features))
    _unsure(made, pl.concat([some, *edges(some, nullable)]), expressions, some)
    unsure = _unsure(made, rows, expressions, some)
    if unsure > MAX_UNSURE * rows.height:
        raise UntranslatedError(f"{unsure:,} rows of {rows.height:,} are polars' to compute")
    return made


def edges(rows: pl.DataFrame, nullable: Sequence[str]) -> Iterator[pl.DataFrame]:
    """Give rows in which each column has, in turn, what data seldom has."""
    for name, dtype in rows.schema.items():
        for value in [*_edges_of(dtype), *([None] if name in nullable else [])]:
            yield rows.with_columns(pl.lit(value, dtype).alias(name))


def _edges_of(dtype: pl.DataType) -> Iterator[Any]:
    kind = family(dtype)
    if kind == "int":
        least, most = INTEGERS[str(dtype)]
        yield from {least, least + 1, max(-1, least), 0, 1, most - 1, most}
    elif kind == "float":
        yield from (0.0, -0.0, 1.0, -1.0, 0.1, -2.5, 1e-300, 1e300, -1e300, 2.0**53 + 1)
    elif kind == "bool":
        yield from (True, False)
    elif kind == "str":
        yield from EDGE_TEXTS
    elif kind == "date":
        yield from (date(time.year, time.month, time.day) for time in EDGE_TIMES)
    elif isinstance(dtype, pl.Datetime):
        zone = UTC if dtype.time_zone else None
        yield from (time.replace(tzinfo=zone) for time in EDGE_TIMES)


def _unsure(
    made: RowFeatures, rows: pl.DataFrame, expressions: Sequence[pl.Expr], others: pl.DataFrame
) -> int:
    """Compare with polars; return how many rows are left to it.

    `others` are computed by polars together with the rows, in one piece: it divides a single row,
    and a piece with one value, in another way than many, such as those of training.

    Raises:
        UntranslatedError: a value differs.
    """
    expected: list[Values | None]
    try:
        several = pl.concat([others, rows], rechunk=True)
        expected = list(several.select(expressions).tail(rows.height).rows())
    except FAULTS:
        if rows.height > 1:
            half = rows.height // 2
            return sum(_unsure(made, p, expressions, others) for p in (rows[:half], rows[half:]))
        expected = [None]
    unsure = 0
    for row, wanted in zip(rows.rows(), expected, strict=True):
        try:
            computed = made.compute(*row)
        except Exception:  # the service does the same
            unsure += 1
            continue
        if wanted is None:
            raise UntranslatedError("polars fails on a row, and Python does not")
        for name, one, other in zip(made.schema, computed, wanted, strict=True):
            if not _same(one, other):  # the values may be a person's, and the reason is published
                raise UntranslatedError(f"`{name}` differs from what polars computes")
    return unsure


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        if math.isnan(one):
            return math.isnan(other)
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    return type(one) is type(other) and one == other
