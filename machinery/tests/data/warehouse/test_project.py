"""The project's own settings and query can be read, and its sample makes a warehouse."""

from pathlib import Path

import duckdb
import pytest

from rung_ops import contract
from rung_ops.data.warehouse import pull, settings
from rung_ops.data.warehouse.duckdb import fill_sample
from rung_ops.data.warehouse.settings import Address
from rung_ops.errors import SettingsError
from rung_ops.project import current
from rung_ops.project.paths import raw_files_in

GOOD = """
query = "rows.sql"
watermark = "at"
first = 2024-01-01
window_days = 7
lag_hours = 12
"""


@pytest.mark.parametrize(
    ("before", "after", "arguments"),
    [
        ("window_days = 7", "window_days = 0", ">= 1"),
        ("lag_hours = 12", "lag_hours = -1", ">= 0"),
        ("lag_hours", "lag_hour", "did you mean `lag_hours`"),
        ("window_days = 7", "window_days = ", "is not valid TOML"),
    ],
)
def test_settings_that_cannot_be_are_named(
    tmp_path: Path, before: str, after: str, arguments: str
) -> None:
    assert before in GOOD
    (tmp_path / "warehouse.toml").write_text(GOOD.replace(before, after))

    with pytest.raises(SettingsError, match=arguments):
        settings.read(tmp_path / "warehouse.toml")


def test_each_file_of_the_sample_becomes_a_table(tmp_path: Path) -> None:
    files = raw_files_in(current().sample)
    if not files:
        pytest.skip("data/sample holds no rows")
    fill_sample(tmp_path / "made.duckdb")

    with duckdb.connect(tmp_path / "made.duckdb", read_only=True) as connection:
        for path in files:
            result = connection.sql(f'SELECT * FROM "{path.stem}"')
            assert result.columns == list(contract.Row.to_schema().columns)
            assert result.count("*").fetchall() != [(0,)]
    assert [path.name for path in tmp_path.iterdir()] == ["made.duckdb"]


def test_what_is_here_is_reported_without_asking_the_warehouse(tmp_path: Path) -> None:
    query = tmp_path / "rows.sql"
    query.write_text("SELECT 1 WHERE at >= $since AND at < $until")
    (tmp_path / "warehouse.toml").write_text(GOOD.replace("rows.sql", str(query)))
    says = settings.read(tmp_path / "warehouse.toml")
    nowhere = Address("nowhere", file=tmp_path / "nothing.duckdb")
    (tmp_path / "2024-01-01--2024-01-08.parquet.dvc").touch()

    lines = pull.describe(says, nowhere, tmp_path)

    assert "watermark  at < 2024-01-08, in UTC" in lines
    assert any("2024-01-01--2024-01-08.parquet" in line and "not here" in line for line in lines)
