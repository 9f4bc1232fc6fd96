"""What the columns of a table are: names, types, rules, and which of them a model may see."""

import keyword
import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from rung_ops.data.draft.table import Table, quoted
from rung_ops.errors import UsageError
from rung_ops.model.added_columns import RESERVED

MOST_LISTED = 20  # texts that Row lists; of more, any is taken
MOST_CLASSES = 50
MOST_CATEGORIES = 1_000  # more are free text to a model
MOST_WORDS = 4  # of a typical category, if there are more than are listed
LONGEST_LISTED = 60  # characters
LONGEST_NAME = 50  # of a column in Row
LEAST_ROWS = 30  # with a target: fewer neither train a model nor judge one
GIVEN_AWAY = 0.9999  # the correlation from which on a column is the target in other words
# Names that would hide what dataset.py uses, or what pandera's model has, and those of Rung.
TAKEN = {
    *RESERVED,
    *"Annotated Config Path Row bool cs float int load pa pl str".split(),
    *"empty example get_metadata pandas strategy to_json_schema to_schema to_yaml validate".split(),
}
TRUTHS = {"true": "false", "yes": "no", "y": "n", "t": "f", "ja": "nein", "oui": "non"}
WHOLE = re.compile(r"[+-]?\d{1,18}\Z")
POINT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\Z")
COMMA = re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d+)(,\d+)?\Z")  # 1.234,5
GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?\Z")  # 1,234.5
SURELY_COMMA = re.compile(r".*,(\d{1,2}|\d{4,})\Z")
CODE = re.compile(r"[+-]?0\d")  # a postcode such as 01234
# Code that leaves out the marks between thousands; a later value with a mark elsewhere keeps it.
THOUSANDS = r'.str.replace_all(r"[{}](\d{{3}})\b", "${{1}}")'
SIGNS = r"[€$£%\s]"
DAYS = (
    *("%Y-%m-%d", "%d.%m.%Y", "%Y/%m/%d", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y"),
    *("%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%d %B %Y"),
    *("%b %d, %Y", "%B %d, %Y"),
)
CLOCKS = (" %H:%M:%S%.f", "T%H:%M:%S%.f", " %H:%M", "T%H:%M", " %I:%M %p", " %I:%M:%S %p")
OFFSETS = ("T%H:%M:%S%.f%#z", " %H:%M:%S%.f%#z")
MOST_FORMATS = 3  # of the days of one column
DATED = r"\d{4}|\d\D\d\d?\D\d\d"  # what every day or time has in it
EIGHT_DIGITS = r"^(19|20)\d\d[01]\d[0-3]\d$"
SAMPLED = 1_000  # values that formats of days are tried on
ID = re.compile(r"(^|_)(id|uuid|guid|key|index|number|nr|no|ref)$|[a-z](Id|ID|Nr|No)$", re.ASCII)
BIRTH = re.compile(r"birth|dob|geburt", re.IGNORECASE)
LIKELY_TARGET = re.compile(
    r"(^|_)(target|label|class|outcome|y|churn(ed)?|default|fraud|price|survived)$", re.IGNORECASE
)
DRAFTED = "Drafted by `rung-ops draft` from what is in the file: correct what is wrong."
NUMBER, TRUTH, CLASS = "a number", "true or false", "a class"


@dataclass
class Column:
    """A column of the file, and of Row."""

    raw: str
    name: str
    values: pl.Series
    read: str = "@"  # what makes them of what the file has, as Python with @ for that
    rules: dict[str, str] = field(default_factory=dict)  # arguments of pandera's Field, as Python
    why: list[str] = field(default_factory=list)  # what was found in the file
    feature: str = ""  # what the model sees of it, as Python; empty for nothing
    hidden: str = ""  # why the model does not see it
    is_category: bool = False  # whether the feature is a text that the model needs encoded

    @property
    def annotation(self) -> str:
        """The type, as Row writes it."""
        kind = self.values.dtype
        if isinstance(kind, pl.Datetime):
            if kind.time_zone is None:
                return "pl.Datetime"
            return f"Annotated[pl.Datetime, {quoted('us')}, {quoted(kind.time_zone)}]"
        names = {pl.Boolean: "bool", pl.Float64: "float", pl.String: "str", pl.Date: "pl.Date"}
        return names.get(type(kind), "pl.Int64")


@dataclass(frozen=True)
class Columns:
    """All columns of a table."""

    columns: list[Column]
    target: Column
    kind: str  # NUMBER, TRUTH or CLASS
    time: Column | None  # the column that orders the rows, or None
    identity: Column | None  # the column that identifies a row, or None
    left_out: list[str]  # the columns of the file that are not in Row, and why

    @property
    def seen(self) -> list[Column]:
        """The columns that the model sees."""
        return [column for column in self.columns if column.feature]


def infer(table: Table, target: str) -> Columns:
    """Infer what the columns are."""
    frame = table.frame
    _check_target(table, target)
    decimal_comma = _has_decimal_comma(table)
    columns, left_out = [], []
    for raw, name in zip(frame.columns, _names(frame.columns), strict=True):
        column = _typed(frame[raw], name, decimal_comma)
        if column is None:
            left_out.append(f"`{raw}`: a request cannot hold {frame[raw].dtype}")
        elif column.values.null_count() == frame.height:
            left_out.append(f"`{raw}`: no row has a value")
        elif not raw.strip():
            left_out.append("a column without a name")
        else:
            columns.append(column)
    aim = next((column for column in columns if column.raw == target), None)
    if aim is None:
        raise UsageError(
            f"{table.name}: `{target}` cannot be predicted. It has to be a number, true or false, or "
            f"a class, and to have values; it is {frame[target].dtype}."
        )
    kind = _judged(table, aim)
    others = [column for column in columns if column is not aim]
    time = _time(others)
    identity = next((column for column in others if _identifies(column)), None)
    for column in columns:
        _describe(column, is_target=column is aim)
    for column in others:
        column.hidden = _hidden(column, aim, identity)
        if not column.hidden:
            _choose_feature(column, time)
    found = Columns(columns, aim, kind, time, identity, left_out)
    if not found.seen:
        raise UsageError(
            f"{table.name}: nothing is left to predict `{target}` from, as the other columns are "
            "constant, identify a row, or are free text."
        )
    return found


def _check_target(table: Table, target: str) -> None:
    """Refuse a target that is not in the file, and suggest another."""
    columns = table.frame.columns
    if target in columns:
        return
    likely = [name for name in columns if LIKELY_TARGET.search(name)] or columns[-1:]
    more = f" and {len(columns) - 20} more" if len(columns) > 20 else ""
    said = f"{table.name} has no column `{target}`" if target else "Say which column to predict"
    raise UsageError(
        f"{said}; perhaps `--target {quoted(likely[0])}`. The columns are: "
        f"{', '.join(columns[:20])}{more}."
    )


def _names(raw: Sequence[str]) -> Iterator[str]:
    """Yield a name for each column that Python takes: its own, if it is such a name."""
    used: set[str] = set()
    for position, text in enumerate(raw, 1):
        name = text
        plain = text.isascii() and text.isidentifier() and not text.startswith("_")
        if not plain or len(text) > LONGEST_NAME:
            letters = unicodedata.normalize("NFKD", text.replace("ß", "ss").replace("€", "eur"))
            letters = letters.encode("ascii", "ignore").decode()
            name = re.sub(r"\W+", "_", letters).strip("_").lower()[:LONGEST_NAME].rstrip("_")
            name = name or f"column_{position}"
            name = f"c_{name}" if name[0].isdigit() else name
        if keyword.iskeyword(name) or name in TAKEN:
            name += "_"
        stem, number = name, 1
        while name in used or (name != text and name in raw):
            number += 1
            name = f"{stem}_{number}"
        used.add(name)
        yield name


def _has_decimal_comma(table: Table) -> bool:
    """Say whether the numbers of a text file have a comma before the fraction."""
    uncertain = False
    for column in table.frame.select(pl.col(pl.String)):
        values = [re.sub(SIGNS, "", value) for value in column.drop_nulls().unique()]
        if any("," in value for value in values) and all(map(COMMA.match, values)):
            if any(map(SURELY_COMMA.match, values)):
                return True
            uncertain = True
    return uncertain and "semicolons" in table.form


def _typed(values: pl.Series, name: str, decimal_comma: bool) -> Column | None:
    """Return a column with its type; None if a request cannot hold it."""
    kind, read, why = values.dtype, "@", list[str]()
    if kind == pl.String:
        read, why = _of_texts(values, decimal_comma)
    elif isinstance(kind, pl.Categorical | pl.Enum):
        read = "@.cast(pl.String)"
    elif isinstance(kind, pl.Decimal | pl.Float32):
        read = "@.cast(pl.Float64)"
    elif kind.is_integer():
        read = "@" if kind == pl.Int64 else "@.cast(pl.Int64)"
    elif isinstance(kind, pl.Datetime):
        read = "@" if kind.time_unit == "us" else '@.dt.cast_time_unit("us")'
    elif kind not in (pl.Boolean, pl.Date, pl.Float64):
        return None
    made = run(values, read)
    made = made.fill_nan(None) if made.dtype.is_float() else made
    return Column(values.name, name, made, read, why=why)


def run(values: pl.Series, read: str) -> pl.Series:
    """Read the values of a column by the code that dataset.py will have."""
    code = read.replace("@", f"pl.col({quoted(values.name)})")
    return values.to_frame().select(eval(code, {"pl": pl}).alias(values.name)).to_series()


def _of_texts(values: pl.Series, decimal_comma: bool) -> tuple[str, list[str]]:
    """Return the code that reads texts in the type that all of them have, and what it relies on."""
    stripped = values.str.strip_chars()
    read = "@" if (values == stripped).all() else "@.str.strip_chars()"
    texts = sorted(stripped.drop_nulls().unique())
    folded = {text.casefold() for text in texts}
    for yes, no in TRUTHS.items():
        if folded and folded <= {yes, no}:
            truths = ", ".join(f"{quoted(text)}: {text.casefold() == yes}" for text in texts)
            read += f".replace_strict({{{truths}}}, return_dtype=pl.Boolean)"
            return read, [f"written {' and '.join(texts)}"]
    if moment := _of_moments(stripped, read):
        return moment
    if texts and all(map(WHOLE.match, texts)):
        if any(map(CODE.match, texts)):
            return read, ["a code, as its digits begin with 0"]
        return f"{read}.cast(pl.Int64)", []
    return _of_numbers(texts, read, decimal_comma) or (read, [])


def _of_numbers(
    texts: Sequence[str], read: str, decimal_comma: bool
) -> tuple[str, list[str]] | None:
    """Return the code that reads texts as numbers; None if they are none."""
    why = []
    if signs := sorted({sign for text in texts for sign in re.findall(SIGNS, text)}):
        read = f'@.str.replace_all(r"{SIGNS}", "")'
        why = [f"written with {' '.join(signs).strip() or 'spaces'}"]
    plain = [re.sub(SIGNS, "", text) for text in texts]
    if decimal_comma and any("," in text for text in plain) and all(map(COMMA.match, plain)):
        why.append("decimal commas")
        if any("." in text for text in plain):
            read += THOUSANDS.format(".")
        read += '.str.replace(",", ".", literal=True)'
    elif not all(map(POINT.match, plain)):
        if not all(POINT.match(text) or GROUPED.match(text) for text in plain):
            return None
        why.append("commas between thousands")
        read += THOUSANDS.format(",")
    return (f"{read}.cast(pl.Float64)", why) if plain else None


def _of_moments(stripped: pl.Series, read: str) -> tuple[str, list[str]] | None:
    """Return the code that reads texts as days or times; None if they are none."""
    values = stripped.drop_nulls().unique()
    if not values.len() or not values.str.contains(DATED).all():
        return None
    few = values.sample(min(SAMPLED, values.len()), seed=1)
    days = ["%Y%m%d"] if values.str.contains(EIGHT_DIGITS).all() else DAYS
    for forms, method, more in (
        ([DAYS[0] + clock for clock in OFFSETS], "to_datetime", ', time_zone="UTC"'),
        ([day + clock for day in DAYS[:7] for clock in CLOCKS], "to_datetime", ""),
        (days, "to_date", ""),
    ):
        used = _formats(few, forms, method, more)
        if not used or not _formats(values, used, method, more):
            continue
        why = [f"written {' or '.join(used)}"]
        if more:
            why.append("in UTC, as it has offsets")
        other = used[0].translate(str.maketrans("dm", "md"))
        if other != used[0] and other in forms and _formats(values, [other], method, more):
            why.append(f"{other} fits as well: check which")
        if len(used) == 1:
            return f"{read}.str.{method}({quoted(used[0])}{more})", why
        tried = [f"{read}.str.{method}({quoted(form)}{more}, strict=False)" for form in used]
        return f"pl.coalesce({', '.join(tried)})", why
    return None


def _formats(values: pl.Series, forms: Sequence[str], method: str, more: str) -> list[str]:
    """Return the formats that together read all values, the most frequent first; none if none do."""
    used: list[str] = []
    while values.len() and len(used) < MOST_FORMATS:
        unread = {}
        for form in forms:
            made = run(values, f"@.str.{method}({quoted(form)}{more}, strict=False)")
            # Two digits are the year 24 to %Y.
            unread[form] = values.filter(made.is_null() | (made.dt.year() < 1000))
        best = min(forms, key=lambda form: unread[form].len())
        if unread[best].len() == values.len():
            return []
        used.append(best)
        values = unread[best]
    return [] if values.len() else used


def _judged(table: Table, aim: Column) -> str:
    """Return the kind of the target, and make its values those of Row."""
    known = aim.values.drop_nulls()
    different = sorted(known.unique().to_list())
    what = f"{table.name}: `{aim.raw}`"
    if known.len() < LEAST_ROWS:
        raise UsageError(
            f"{what} has {known.len()} values in {aim.values.len()} rows, and {LEAST_ROWS} are the "
            "least to train and judge a model with."
        )
    if len(different) == 1:
        raise UsageError(
            f"{what} has one value in all rows ({known[0]}), so nothing can be learned from them."
        )
    if aim.values.dtype.is_temporal():
        raise UsageError(f"{what} is a time. Compute a number of days or hours, and predict that.")
    if aim.values.dtype == pl.Boolean:
        return TRUTH
    if aim.values.dtype.is_numeric():
        if len(different) > 2 or not all(float(value).is_integer() for value in different):
            if aim.values.dtype.is_integer() and len(different) <= MOST_LISTED:
                aim.why.append("if these are classes, let load() give them names")
            return NUMBER
        # Text or number in the file: true is the higher one.
        aim.read += f" == {different[1]}"
        aim.values = aim.values == different[1]
        aim.why.append(f"{different[0]} and {different[1]} in the file: true is {different[1]}")
        return TRUTH
    if len(different) > MOST_CLASSES or max(map(len, different)) > LONGEST_LISTED:
        raise UsageError(
            f"{what} has {len(different):,} different texts, such as {different[0][:40]!r}. A class "
            f"has a short name, and there may be {MOST_CLASSES} of them: choose another column, or "
            "group its values first."
        )
    rarest = known.value_counts(sort=True).row(-1)
    if rarest[1] < 2:
        raise UsageError(
            f"{what} is {rarest[0]!r} in one row only, from which nothing can be learned. Leave that "
            "row out, or group it with others."
        )
    return CLASS


def _time(others: Sequence[Column]) -> Column | None:
    """Return the column that orders the rows: of several the one with most different times."""
    times = [
        column
        for column in others
        if column.values.dtype.is_temporal()
        and not column.values.null_count()
        and column.values.n_unique() > 1
        and not BIRTH.search(column.raw)
    ]
    return max(times, key=lambda column: column.values.n_unique(), default=None)


def _identifies(column: Column) -> bool:
    """Say whether each row has a value of its own, in a column that is called so or counts rows."""
    values = column.values
    if values.null_count() or values.n_unique() < values.len():
        return False
    if values.dtype.is_integer():
        return bool(ID.search(column.raw)) or abs(values[-1] - values[0]) == values.len() - 1
    return values.dtype == pl.String and bool(ID.search(column.raw))


def _describe(column: Column, *, is_target: bool) -> None:
    """Add the rules that the values keep, and what they are."""
    values, rules = column.values, column.rules
    known = values.drop_nulls()
    low: Any = known.min()
    high: Any = known.max()
    found = []
    if values.dtype.is_numeric():
        form = "," if values.dtype.is_integer() else ",.6g"
        found = [f"{low:{form}} to {high:{form}}"]
        rules |= {"ge": "0"} if low >= 0 else {"ge": f"-{_roomy(-low)}"}
        if not is_target:
            rules["le"] = _roomy(high) if high > 0 else "0"
    elif values.dtype.is_temporal():
        found = [f"{low} to {high}"]
    elif values.dtype == pl.String:
        different = sorted(known.unique())
        listed = len(different) <= MOST_LISTED and known.len() >= 5 * len(different)
        if is_target or (listed and max(map(len, different)) <= LONGEST_LISTED):
            rules["isin"] = f"[{', '.join(map(quoted, different))}]"
        found = [f"{len(different):,} different texts"]
    else:
        found = [f"true in {known.sum() / max(known.len(), 1):.1%}"]
    if missing := values.null_count():
        found.append(f"{missing / values.len():.1%} missing")
        if not is_target:  # rows without one train no model, and are left out of it
            rules["nullable"] = "True"
    column.why = [*found, *column.why]


def _roomy(value: float) -> str:
    """Return a round bound that is at least twice a value, and 1 for shares."""
    if value <= 1:
        return "1"
    if math.isinf(value):
        return "float('inf')"
    scale = 10 ** (len(str(int(2 * value))) - 1)
    bound = next(step * scale for step in (1, 2, 5, 10) if step * scale >= 2 * value)
    return f"{bound:_}" if bound >= 10_000 else str(bound)


def _hidden(column: Column, aim: Column, identity: Column | None) -> str:
    """Say why a model should not see a column; empty if it may."""
    values = column.values
    if column is identity:
        return "it identifies a row"
    if ID.search(column.raw) and not values.dtype.is_float():
        return "it identifies something: a model would learn by heart whom it knows"
    if values.drop_nulls().n_unique() == 1 and not values.null_count():
        return "it is the same in all rows"
    if values.dtype == pl.String:
        different = values.drop_nulls().n_unique()
        if different > min(MOST_CATEGORIES, values.len() / 2):
            return f"with {different:,} different texts it is no category"
        words = values.str.split(" ").list.len().median()
        if different > MOST_LISTED and isinstance(words, float) and words > MOST_WORDS:
            return f"it is free text, of typically {words:.0f} words"
        # Each text stands for one value of the target, and there are as many of both.
        pairs = pl.DataFrame({"a": values, "b": aim.values}).drop_nulls().unique()
        told = pairs.height == pairs["a"].n_unique() == pairs["b"].n_unique()
        return "it is what is predicted" if told else ""
    if values.dtype.is_numeric() or values.dtype == pl.Boolean:
        return "it gives the target away" if _is_nearly(values, aim.values) else ""
    return ""


def _is_nearly(values: pl.Series, target: pl.Series) -> bool:
    """Say whether a column is the target in other words."""
    if target.dtype == pl.String:
        return False
    pairs = pl.DataFrame({"a": values.cast(pl.Float64), "b": target.cast(pl.Float64)}).drop_nulls()
    if pairs.height < LEAST_ROWS:
        return False
    found = pairs.select(pl.corr("a", "b")).item()
    return found is not None and abs(found) > GIVEN_AWAY


def _choose_feature(column: Column, time: Column | None) -> None:
    """Choose what the model sees of a column that it may see."""
    name, kind = quoted(column.name), column.values.dtype
    column.feature = f"pl.col({name})"
    if kind == pl.String:
        column.is_category = True
    elif column is time:
        clock = isinstance(kind, pl.Datetime) and column.values.dt.hour().n_unique() > 1
        part = "hour" if clock else "weekday"
        column.feature += f".dt.{part}().alias({quoted(f'{column.name}_{part}')})"
    elif kind.is_temporal():
        column.feature += f".dt.year().alias({quoted(f'{column.name}_year')})"
    elif kind == pl.Boolean and "nullable" in column.rules:
        column.feature += ".cast(pl.Float64)"
