"""Connect to a warehouse with the driver that its address asks for."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from rung_ops.data.warehouse.errors import WarehouseError
from rung_ops.data.warehouse.source import Source
from rung_ops.data.warehouse.url import Address


@contextmanager
def connected(address: Address) -> Iterator[Source]:
    """Connect to the warehouse at an address.

    Raises:
        WarehouseError: there is no driver, or access is denied.
    """
    # Imported here: a project has the drivers of both, but only one is used at a time.
    try:
        if address.file is None:
            from rung_ops.data.warehouse import postgresql

            opened: AbstractContextManager[Source] = postgresql.connect(address)
        else:
            from rung_ops.data.warehouse import duckdb

            opened = duckdb.connect(address)
    except ImportError as error:
        raise WarehouseError(
            f"The driver for {address.shown} is not installed ({error}): `uv sync` installs it."
        ) from None
    with opened as source:
        yield source
