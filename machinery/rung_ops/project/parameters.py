"""What params.toml may hold; docs/contract.md explains each value.

[model] and the tables of a project's own are free, as its pipeline reads them with params().
"""

import difflib
from collections.abc import Mapping
from contextlib import suppress
from datetime import date, datetime
from typing import Annotated, Any

import msgspec

from rung_ops import settings
from rung_ops.errors import SettingsError, StageError

Whole = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
ALIKE = 0.8  # similarity of difflib: `reporting` and `report`, but not `test_size` and `test_share`


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
    _refuse_misspelt(content, Parameters, where)
    if isinstance(split := content.get("split"), Mapping):
        _refuse_misspelt(split, SplitSettings, where, " - at `$.split`")
    read = Parameters.__struct_fields__
    judged = {name: value for name, value in content.items() if name in read and name != "model"}
    settings.refuse_infinite(judged, where)
    return settings.converted(content, Parameters, where)


def _refuse_misspelt(
    content: Mapping[str, Any], kind: type[msgspec.Struct], where: str, at: str = ""
) -> None:
    """Refuse an unknown name that resembles a known one, where further names are free.

    Not where the known one is there too, and the unknown is no table with a key of that: a project
    may have a table [store] beside [score].
    """
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    for name, value in content.items():
        near = difflib.get_close_matches(name, fields, 1, ALIKE) if name not in fields else []
        keys = {key for each in near for key in getattr(fields[each], "__struct_fields__", ())}
        if near and (near[0] not in content or isinstance(value, Mapping) and keys & value.keys()):
            raise SettingsError(
                f"{where} object contains unknown field `{name}`{at}; did you mean `{near[0]}`?"
            )
