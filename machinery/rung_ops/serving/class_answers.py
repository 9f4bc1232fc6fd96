"""The answers of a release that tells several classes apart: the class, and all probabilities."""

from functools import lru_cache
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from rung_ops.model.reasons import Reason
from rung_ops.model.target import labels
from rung_ops.serving.jobs import Job


class Types(NamedTuple):
    """What is answered, made from the classes of a release, so that the schema names them.

    Attributes:
        one, many, by_column: the answer to a single row, to an array, to a table.
        of_row, of_rows: the probabilities in them, with a field for each class.
    """

    one: Any
    many: Any
    by_column: Any
    of_row: Any
    of_rows: Any


@lru_cache(maxsize=8)
def types_of(classes: tuple[str, ...]) -> Types:
    """Make the types of answers with these classes."""
    of_row = _by_class("Probabilities", classes, float)
    of_rows = _by_class("ProbabilitiesByColumn", classes, list[float])
    name: Any = Literal[classes]
    one = _answer(
        "The most probable class of one row, and the probability of each; `reasons` if requested.",
        "Answer",
        list[Reason],
        id=str,
        prediction=name,
        probabilities=of_row,
        release=str,
        defaults_used=list[str],
    )
    many = _answer(
        "The most probable class of each row of an array, in their order; `reasons` if requested.",
        "Answers",
        list[list[Reason]],
        release=str,
        predictions=_list_of(name),
        probabilities=_list_of(of_row),
        ids=list[str],
        defaults_used=list[list[str]],
    )
    by_column = _answer(
        "The most probable class of each row of a table. `defaults_used` counts rows from 1.",
        "AnswersByColumn",
        None,
        release=str,
        predictions=_list_of(name),
        probabilities=of_rows,
        ids=list[str],
        defaults_used=dict[str, list[int]],
    )
    return Types(one, many, by_column, of_row, of_rows)


def of_one(job: Job, defaults: list[str]) -> Any:
    """Answer a single row."""
    release = job.served.release
    classes = release.kind.classes
    types = types_of(classes)
    (probabilities,) = job.predictions
    name = labels(np.array([probabilities]), classes)[0]
    reasons = UNSET if job.reasons is None else job.reasons[0]
    return types.one(
        job.identity, name, types.of_row(*probabilities), release.id, defaults, reasons
    )


def of_many(job: Job, ids: list[str], defaults: list[list[str]]) -> Any:
    """Answer a JSON array."""
    release = job.served.release
    classes = release.kind.classes
    types = types_of(classes)
    names = labels(np.array(job.predictions), classes)
    probabilities = [types.of_row(*row) for row in job.predictions]
    reasons = UNSET if job.reasons is None else job.reasons
    return types.many(release.id, names, probabilities, ids, defaults, reasons)


def by_columns(job: Job, ids: list[str], used: dict[str, list[int]]) -> Any:
    """Answer columns."""
    release = job.served.release
    classes = release.kind.classes
    types = types_of(classes)
    matrix = np.array(job.predictions)
    probabilities = types.of_rows(*matrix.T.tolist())
    return types.by_column(release.id, labels(matrix, classes), probabilities, ids, used)


def _answer(meaning: str, name: str, reasons: Any, **fields: Any) -> Any:
    listed: list[Any] = list(fields.items())
    if reasons is not None:
        listed.append(("reasons", reasons | UnsetType, UNSET))
    return msgspec.defstruct(name, listed, namespace={"__doc__": meaning})


def _by_class(name: str, classes: tuple[str, ...], kind: Any) -> Any:
    # A class may be called anything, a field of a struct may not.
    fields = {f"c{code}": each for code, each in enumerate(classes)}
    return msgspec.defstruct(name, [(field, kind) for field in fields], rename=fields)


def _list_of(kind: Any) -> Any:
    return list[kind]
