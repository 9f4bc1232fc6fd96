"""How functions of an expression become Python code."""

import math
from collections.abc import Callable
from typing import Any

import polars as pl

from rung_ops.model.row_code import Node, RowCode, Term, UntranslatedError, family, variant
from rung_ops.model.row_operators import compared, logical

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
FLOAT_FUNCTIONS = {"Exp": "math.exp({})", "Log1p": "math.log1p({})"}
TRIGONOMETRY = {"Sin": "math.sin({})", "Cos": "math.cos({})"}


def function(code: RowCode, node: Node, content: Any) -> Term:
    """Translate a function by its name."""
    name, inner = variant(content["function"])
    if name in NAMESPACES:
        name, options = variant(inner)
        translate = NAMESPACES[variant(content["function"])[0]].get(name)
    else:
        options, translate = inner, FUNCTIONS.get(name)
    if translate is None:
        raise UntranslatedError(f"{name} is not translated")
    return translate(code, node, [code.term(each) for each in content["input"]], name, options)


Translate = Callable[[RowCode, Node, list[Term], str, Any], Term]


def _of_float(texts: dict[str, str]) -> Translate:
    def translate(code: RowCode, node: Node, terms: list[Term], name: str, options: Any) -> Term:
        return _float(code, texts[name], terms[0])

    return translate


def _float(code: RowCode, text: str, term: Term) -> Term:
    if term.dtype == pl.Float32:
        raise UntranslatedError(f"a function of {term.dtype}")
    return code.assign(text, pl.Float64(), code.cast(term, pl.Float64()))


def _part_of_time(code: RowCode, node: Node, terms: list[Term], name: str, options: Any) -> Term:
    if name not in PARTS or family(terms[0].dtype) not in ("date", "datetime"):
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
    code.names["rounded"] = rounded
    power = code.constant(float(10 ** options["decimals"]), pl.Float64())
    return code.assign("rounded({}, {})", term.dtype, term, power)


def rounded(value: float, power: float) -> float:
    """Round to a multiple of 1 / power, halves to even; the sign of a zero is kept."""
    scaled = value * power
    return math.copysign(round(scaled), scaled) / power


def _sign(text: str) -> Translate:
    def translate(code: RowCode, node: Node, terms: list[Term], name: str, options: Any) -> Term:
        (term,) = terms
        if term.dtype.is_signed_integer():
            return code.ranged(text, term.dtype, term)
        if term.dtype != pl.Float64:
            raise UntranslatedError(f"{name} of {term.dtype}")
        return code.assign(text, term.dtype, term)

    return translate


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


def _null_test(text: str) -> Translate:
    def translate(code: RowCode, node: Node, terms: list[Term], name: str, options: Any) -> Term:
        return code.variable(text.format(terms[0].name), pl.Boolean(), nullable=False)

    return translate


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
    low = compared(code, ">=" if closed in ("Both", "Left") else ">", terms[0], terms[1])
    high = compared(code, "<=" if closed in ("Both", "Right") else "<", terms[0], terms[2])
    return logical(code, "And", low, high)


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
    kinds = family(term.dtype), family(dtype)
    return kinds in (("int", "int"), ("str", "str"))


def _listed(term: Term) -> pl.Series | None:
    """Return the values of a constant that is a list."""
    if isinstance(term.value, pl.Series):
        return term.value
    return pl.Series([term.value], dtype=term.dtype) if term.is_constant else None


def _text(texts: dict[str, str]) -> Translate:
    def translate(code: RowCode, node: Node, terms: list[Term], name: str, options: Any) -> Term:
        if name not in texts or any(term.dtype != pl.String for term in terms):
            raise UntranslatedError(f"str.{name}")
        code.names["ascii_only"] = ascii_only
        return code.assign(texts[name], code.dtype(node), *terms)

    return translate


def ascii_only(text: str) -> str:
    """Return the text; beyond ASCII the tables of Unicode may be of two versions."""
    if not text.isascii():
        raise ValueError
    return text


FUNCTIONS: dict[str, Translate] = {
    **dict.fromkeys(FLOAT_FUNCTIONS, _of_float(FLOAT_FUNCTIONS)),
    "Abs": _sign("abs({})"),
    "Negate": _sign("-{}"),
    "Clip": _clip,
    "Coalesce": _first_known,
    "FillNull": _first_known,
    "Log": _log,
    "Pow": _sqrt,
    "Replace": _replace,
    "ReplaceStrict": _replace,
    "Round": _round,
}
TEXTS = {
    "LenChars": "len({})",
    "Lowercase": "ascii_only({}).lower()",
    "Uppercase": "ascii_only({}).upper()",
    "StartsWith": "{}.startswith({})",
    "EndsWith": "{}.endswith({})",
}
NAMESPACES: dict[str, dict[str, Translate]] = {
    "Boolean": {
        "IsNull": _null_test("{} is None"),
        "IsNotNull": _null_test("{} is not None"),
        "Not": _not,
        "IsIn": _is_in,
        "IsBetween": _is_between,
    },
    "StringExpr": dict.fromkeys(TEXTS, _text(TEXTS)),
    "TemporalExpr": dict.fromkeys(PARTS, _part_of_time),
    "Trigonometry": dict.fromkeys(TRIGONOMETRY, _of_float(TRIGONOMETRY)),
}
