"""Columns that are not what they were are refused before anything is written."""

import pytest

from machinery.tests.data.warehouse.conftest import Shop
from rung_ops.data.warehouse.settings import WarehouseError

ALL = "SELECT * FROM sales WHERE sold >= $since AND sold < $until ORDER BY sold"
FILE = "2024-01-01--2024-01-02.parquet"

CHANGES = {
    "gone": ("ALTER TABLE sales DROP COLUMN price", ["`price` is gone", "Float64", FILE]),
    "renamed": (
        "ALTER TABLE sales RENAME COLUMN item TO article",
        ["`item` is gone: Row wants String", "`article` is new: it is String"],
    ),
    "new": ("ALTER TABLE sales ADD COLUMN colour VARCHAR", ["`colour` is new: it is String"]),
    "of another type": (
        "ALTER TABLE sales ALTER price TYPE VARCHAR",
        ["`price` has another type: it is String", f"{FILE} has Float64"],
    ),
    "of a narrower type": (
        "ALTER TABLE sales ALTER price TYPE FLOAT",
        ["`price` has another type: it is Float32", f"{FILE} has Float64"],
    ),
}


@pytest.fixture
def open_shop(shop: Shop) -> Shop:
    shop.ask(ALL)
    shop.sell("2024-01-01 10:00:00")
    shop.pull()
    shop.sell("2024-01-02 10:00:00")
    return shop


@pytest.mark.parametrize("change", CHANGES)
def test_a_column_that_changed_is_named_with_both_types_and_nothing_is_written(
    open_shop: Shop, change: str
) -> None:
    statement, text = CHANGES[change]
    before = open_shop.files()
    open_shop.do(statement)

    with pytest.raises(WarehouseError) as refused:
        open_shop.pull()

    for word in [*text, "Nothing was written", "queries/rows.sql"]:
        assert word in str(refused.value)
    assert open_shop.files() == before


def test_a_missing_column_of_the_query_is_named(open_shop: Shop) -> None:
    open_shop.ask("SELECT sold, item, price FROM sales WHERE sold >= $since AND sold < $until")
    open_shop.do("ALTER TABLE sales RENAME COLUMN price TO cost")

    with pytest.raises(WarehouseError, match="column `price` is gone: Row wants Float64"):
        open_shop.pull()


def test_the_order_of_columns_does_not_matter(open_shop: Shop) -> None:
    open_shop.ask(ALL.replace("*", "price, sold, item"))

    assert open_shop.pull() == 1


def test_the_first_pull_is_compared_with_row(shop: Shop) -> None:
    shop.ask(ALL.replace("*", "sold, item, item AS price, 1 AS colour"))
    shop.sell("2024-01-01 10:00:00")

    with pytest.raises(WarehouseError) as refused:
        shop.pull()

    assert "column `price` is String, and Row wants Float64" in str(refused.value)
    assert "column `colour` is new: it is Int32" in str(refused.value)
    assert shop.files() == {}


def test_the_watermark_may_come_beside_the_columns_of_row(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.do("ALTER TABLE sales ADD COLUMN written TIMESTAMPTZ")
    shop.do("INSERT INTO sales VALUES ('2020-05-05', 'tea', 1.5, '2024-01-02 01:00:00+02')")
    shop.ask("SELECT * FROM sales WHERE written >= $since AND written < $until")
    shop.watermark = "written"

    assert shop.pull() == 1
    assert list(shop.files()) == [FILE]  # 23:00 in UTC


def test_numbers_that_only_a_warehouse_has_come_as_floats(shop: Shop) -> None:
    shop.do("ALTER TABLE sales ALTER price TYPE DECIMAL(10, 2)")
    shop.sell("2024-01-01 10:00:00")

    assert shop.pull() == 1
    assert shop.rows()["price"].to_list() == [1.5]
