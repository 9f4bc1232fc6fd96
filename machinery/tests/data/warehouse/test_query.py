"""The query's parameters are bound by the driver, and nothing else in it is touched."""

from pathlib import Path

import pytest

from rung_ops.data.warehouse import query
from rung_ops.data.warehouse.settings import WarehouseError

ENDS = "at >= $since AND at < $until"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rows.sql"


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        (f"SELECT * FROM sales WHERE {ENDS};\n", "SELECT * FROM sales WHERE at >= $1 AND at < $2"),
        (f"SELECT '$since; ''$x' WHERE {ENDS}", "SELECT '$since; ''$x' WHERE at >= $1 AND at < $2"),
        (f'SELECT "$a" WHERE {ENDS}', 'SELECT "$a" WHERE at >= $1 AND at < $2'),
        (f"SELECT $t$ $no $t$ WHERE {ENDS}", "SELECT $t$ $no $t$ WHERE at >= $1 AND at < $2"),
        (f"SELECT $$ $no; $$ WHERE {ENDS}", "SELECT $$ $no; $$ WHERE at >= $1 AND at < $2"),
        (f"SELECT 1 -- $no; )\nWHERE {ENDS}", "SELECT 1  \nWHERE at >= $1 AND at < $2"),
        (
            f"SELECT 1 /* $no /* in */ */ WHERE {ENDS} -- end",
            "SELECT 1   WHERE at >= $1 AND at < $2",
        ),
        (f"SELECT $since::date WHERE {ENDS}", "SELECT $1::date WHERE at >= $1 AND at < $2"),
    ],
)
def test_only_the_parameters_are_translated(file: Path, text: str, sql: str) -> None:
    file.write_text(text)

    assert query.read(file, "at").sql == sql


@pytest.mark.parametrize(
    ("text", "watermark", "arguments"),
    [
        ("SELECT 1 WHERE at >= $since", "at", r"does not use \$until"),
        ("SELECT 1 WHERE at >= '$since' AND at < $until", "at", r"does not use \$since"),
        (f"SELECT $password WHERE {ENDS}", "at", r"unknown parameter `\$password`"),
        (f"SELECT 1 WHERE {ENDS}", "", "`watermark` in ops/warehouse.toml is empty"),
        ("-- nothing", "", "holds no query"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(
    file: Path, text: str, watermark: str, arguments: str
) -> None:
    file.write_text(text)

    with pytest.raises(WarehouseError, match=arguments):
        query.read(file, watermark)


def test_comments_and_layout_make_no_other_query(file: Path) -> None:
    file.write_text("SELECT 1 -- one\nFROM sales")
    one = query.read(file, "")
    file.write_text("-- the sales\nSELECT 1\n  FROM sales;")

    assert query.read(file, "").hash == one.hash
