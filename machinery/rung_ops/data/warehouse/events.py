"""Events in a warehouse, of which entity features are computed there.

features.py imports it, also in the service's image, so it needs Polars and nothing else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from rung_ops.model.entity_feature import EntityFeature, RemoteEvents


@dataclass(frozen=True)
class WarehouseEvents(RemoteEvents):
    """The rows of a query as events.

    Attributes:
        query: path of its file below the project; it has no parameters.
    """

    query: str

    def computed(
        self,
        moments: pl.DataFrame,
        features: Sequence[EntityFeature],
        is_zoned: bool | None,
        is_sample: bool,
    ) -> pl.DataFrame:
        """Take the values that the last pull brought; ask the warehouse for the others."""
        from rung_ops.data.warehouse import entity_sql

        return entity_sql.computed(self.query, moments, features, is_zoned, is_sample)

    def of_all_entities(
        self, moment: int, features: Sequence[EntityFeature], types: Mapping[str, pl.DataType]
    ) -> pl.DataFrame:
        """Ask the warehouse for the values of all entities."""
        from rung_ops.data.warehouse import entity_sql

        return entity_sql.of_all_entities(self.query, moment, features, types)

    def newest(self, feature: EntityFeature) -> int | None:
        """Ask the warehouse for the time of its newest event."""
        from rung_ops.data.warehouse import entity_sql

        return entity_sql.newest(self.query, feature)

    def is_zoned(self, feature: EntityFeature) -> bool:
        """Tell whether the times of the events have a zone."""
        from rung_ops.data.warehouse import entity_sql

        return entity_sql.is_zoned(self.query, feature)
