"""What params.toml may hold; docs/contract.md explains each value.

[model] and the tables of a project's own are free, as its pipeline reads them with params().
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from typing import Annotated, Any

import msgspec

from rung_ops import settings
from rung_ops.errors import SettingsError, StageError

Whole = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
# Similarity of difflib from which a name is a misspelt one: of a table with a key of the other, such as
# `reporting` and `report`, and of a key: `test_row` and `test_rows`, but not `train_from` and `train_rows`.
ALIKE, ALIKE_KEY = 0.8, 0.9


class SplitSettings(msgspec.Struct, frozen=True):
    """[split]; a project's own split may read further names."""

    test_share: Annotated[float, msgspec.Meta(gt=0, lt=1)] | None = None
    # At most so many of the newest rows judge; None leaves it to `test_share`.
    test_rows: Whole | None = None
    # A sample of so many rows teaches; None takes all.
    train_rows: Whole | None = None
    begins: Any = None  # rows before it are not used; None uses all
    window: str = "all"  # of the training rows
    refit: bool = False  # whether the model that is released is fitted again to all rows

    def first_moment(self) -> datetime | None:
        """Read `begins`; refuse what is neither a day nor a moment."""
        begins = self.begins
        if isinstance(begins, str):
            with suppress(ValueError):
                begins = datetime.fromisoformat(begins)
        if begins is None or isinstance(begins, datetime):
            return begins
        if isinstance(begins, date):  # TOML has dates of its own
            return datetime(begins.year, begins.month, begins.day)
        raise StageError(
            f'params.toml: [split] begins is {begins!r}: write a day, such as "2025-04-01".'
        )


class ScoreSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[score]."""

    metric: str
    higher_is_better: bool


class ReportSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[report]."""

    slices: tuple[str, ...] = ()
    positive: str | None = None


class PredictSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[predict]."""

    most_missing: Share = 0.5


class TuneSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[tune]."""

    trials: Whole = 20


class AdverseSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[reasons]."""

    adverse: Any = None  # adverse_in() judges it, with what the target can be


class FairnessSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[fairness]."""

    groups: dict[str, list[float]] = {}  # by column: where numbers are cut
    smallest_group: Annotated[int, msgspec.Meta(ge=0)] = 30  # rates of fewer rows are mostly chance
    threshold: Share = 0.5  # probabilities from here on count as positive


class ExplainSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[explain]."""

    rows: Whole = 100
    background: Whole = 50
    seconds: Annotated[float, msgspec.Meta(gt=0)] = 120


class Parameters(msgspec.Struct, frozen=True):
    """All of params.toml that the library reads."""

    seed: int
    score: ScoreSettings
    split: SplitSettings = SplitSettings()
    model: dict[str, Any] = {}
    report: ReportSettings = ReportSettings()
    predict: PredictSettings = PredictSettings()
    tune: TuneSettings = TuneSettings()
    reasons: AdverseSettings = AdverseSettings()
    fairness: FairnessSettings = FairnessSettings()
    explain: ExplainSettings = ExplainSettings()


def checked(content: Mapping[str, Any], where: str = "params.toml:") -> Parameters:
    """Check the content of params.toml.

    Raises:
        SettingsError: a value is wrong or missing, or a name is unknown or a misspelt one.
    """
    _refuse_misspelt(content, where)
    read = Parameters.__struct_fields__
    judged = {name: value for name, value in content.items() if name in read and name != "model"}
    settings.refuse_infinite(judged, where)
    try:
        return settings.converted(content, Parameters, where)
    except SettingsError as error:
        if "unknown field" in str(error) and not str(error).endswith("?"):
            message = f"{error}. Names of your own go into a table of your own."
            raise SettingsError(message, place=error.place) from error
        raise


def _refuse_misspelt(content: Mapping[str, Any], where: str) -> None:
    """Refuse misspelt names where further names are free.

    A table has a key of the one that it resembles: a project may have a table [store] beside [score].
    """
    tables = {field.name: field.type for field in msgspec.structs.fields(Parameters)}
    for name, near in _resembling(content, list(tables), ALIKE):
        keys = getattr(tables[near], "__struct_fields__", ())
        if isinstance(content[name], Mapping) and not content[name].keys().isdisjoint(keys):
            raise _misspelt(where, "", name, near)
    split = content.get("split")
    if isinstance(split, Mapping):
        for name, near in _resembling(split, SplitSettings.__struct_fields__, ALIKE_KEY):
            if near not in split:
                raise _misspelt(where, "split", name, near)


def _resembling(
    names: Iterable[str], known: Sequence[str], alike: float
) -> Iterator[tuple[str, str]]:
    """Yield the unknown names that resemble a known one, with that."""
    for name in names:
        if name not in known and (near := difflib.get_close_matches(name, known, 1, alike)):
            yield name, near[0]


def _misspelt(where: str, table: str, name: str, near: str) -> SettingsError:
    what = f"object contains unknown field `{name}`; did you mean `{near}`?"
    message = settings.located(where, [table] if table else [], "", what)
    return SettingsError(message, place=(table, name))
