"""Call the user's code, which may raise anything."""

from collections.abc import Iterator
from contextlib import contextmanager

from rung_ops.contract import ContractError, explain
from rung_ops.errors import StageError


@contextmanager
def calling(what: str) -> Iterator[None]:
    """Raise a ContractError that names `what` in place of any error but a StageError."""
    try:
        yield
    except StageError:
        raise
    except Exception as error:  # src/ is the user's, and may raise anything
        raise ContractError(explain(what, error)) from error
