"""What the contract says of each feature, in the words that alerts and panels use."""

import json
from dataclasses import dataclass

import polars as pl

from rung_ops import contract
from rung_ops.monitoring.drift import PREDICTION


@dataclass(frozen=True)
class Subject:
    """A feature, or the predictions: its name, what it is, and in which unit (may be empty)."""

    name: str
    text: str
    unit: str = ""


ANSWERS = Subject(PREDICTION, "what the model answers")


def features() -> list[Subject]:
    """List the contract's features in their order.

    One that is a column of Row, unchanged, has that column's description and unit; of another it is
    said which columns it comes from.
    """
    columns = contract.Row.to_schema().columns
    nobody = pl.DataFrame(schema={name: column.dtype.type for name, column in columns.items()})
    found = []
    for feature in contract.FEATURES:
        roots = feature.meta.root_names()
        for name in nobody.select(feature).columns:
            column = columns.get(name)
            unit = str((column.metadata or {}).get("unit", "")) if column is not None else ""
            if column is not None and column.description:
                text = f"{column.description} ({unit})" if unit else column.description
            else:
                text = f"derived from {', '.join(dict.fromkeys(roots)) or 'no column'}"
            found.append(Subject(name, text, unit))
    return found


def quoted(text: str) -> str:
    """Write a text as a string of PromQL."""
    return json.dumps(text, ensure_ascii=False)


def unexpanded(text: str) -> str:
    """Keep Prometheus from reading a text of the user's as a template."""
    return text.replace("{{", '{{ "{{" }}')
