"""A warehouse is spoken of without its password."""

import pytest
from adbc_driver_manager import AdbcStatusCode, ProgrammingError

from machinery.tests.conftest import Patch
from rung_ops.data.warehouse import postgresql, pull
from rung_ops.data.warehouse import settings as address
from rung_ops.data.warehouse.settings import Address, WarehouseError
from rung_ops.project import current

PASSWORD = "Tr0ub4dor"  # pragma: allowlist secret
URL = f"postgresql://ada:{PASSWORD}@db.example.org:5433/sales?sslmode=require"


@pytest.fixture
def variables(monkeypatch: Patch) -> Patch:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    return monkeypatch


def test_an_address_is_shown_without_its_password(variables: Patch) -> None:
    variables.setenv("WAREHOUSE_URL", URL)
    result = address.read_address()

    assert result.shown == "postgresql://ada@db.example.org:5433/sales"
    assert PASSWORD not in repr(result)
    assert result.url.startswith(URL)
    assert "connect_timeout=10" in result.url


def test_what_the_driver_says_is_shown_without_the_password(variables: Patch) -> None:
    variables.setenv("WAREHOUSE_URL", URL.replace(PASSWORD, f"%40{PASSWORD}"))
    variables.setenv("PGPASSWORD", "another")  # pragma: allowlist secret
    scrubbed = address.read_address().scrub(
        f"cannot use @{PASSWORD}, %40{PASSWORD} or another here"
    )

    assert scrubbed == "cannot use ***, *** or *** here"


@pytest.mark.parametrize(
    "url",
    [
        URL.replace(PASSWORD, f"{PASSWORD}@x"),
        URL.replace(PASSWORD, f"{PASSWORD}/x"),
        URL.replace(PASSWORD, f"{PASSWORD}#x"),
        URL.replace("postgresql", "mysql"),
        f"host=db.example.org password={PASSWORD}",
        f"postgresql:{PASSWORD}",
    ],
)
def test_an_address_that_cannot_be_read_is_refused_without_repeating_it(
    variables: Patch, url: str
) -> None:
    variables.setenv("WAREHOUSE_URL", url)

    with pytest.raises(WarehouseError) as refused:
        address.read_address()

    assert "WAREHOUSE_URL" in str(refused.value)
    assert PASSWORD not in str(refused.value)


@pytest.mark.parametrize("nothing", ["", "  ", "$(WAREHOUSE_URL)"])
def test_no_address_means_the_warehouse_of_the_sample(variables: Patch, nothing: str) -> None:
    variables.setenv("WAREHOUSE_URL", nothing)

    assert address.read_address().is_sample


def test_a_file_of_duckdb_is_named_from_the_root_of_the_project(variables: Patch) -> None:
    variables.setenv("WAREHOUSE_URL", "duckdb:data/own.duckdb")
    result = address.read_address()

    assert result.file == current().root / "data/own.duckdb"
    assert not result.is_sample
    with pytest.raises(WarehouseError, match="data/own.duckdb does not exist"):
        with pull.connected(result):
            pass


def test_a_server_that_does_not_answer_is_reported_with_what_to_do(variables: Patch) -> None:
    variables.setenv("WAREHOUSE_URL", f"postgresql://ada:{PASSWORD}@127.0.0.1:1/sales")

    with pytest.raises(WarehouseError, match="Nothing answers there") as refused:
        with pull.connected(address.read_address()):
            pass

    assert PASSWORD not in str(refused.value)


def test_a_column_that_postgresql_does_not_have_is_a_matter_of_the_query() -> None:
    says = 'Failed to prepare query: ERROR:  column "cost" does not exist'
    error = ProgrammingError(says, status_code=AdbcStatusCode.INVALID_ARGUMENT, sqlstate="42703")

    reported = postgresql.warehouse_error(error, Address("the shop"))

    assert (str(reported), reported.gone) == (f"the shop: {says}. Fix the query.", "cost")
