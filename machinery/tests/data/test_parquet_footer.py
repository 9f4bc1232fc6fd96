"""The unpacked size of a Parquet file is read from its footer, whatever the footer is."""

import random
from pathlib import Path

import polars as pl
import pytest

from rung_ops.contract.parquet_footer import unpacked_bytes

pq = pytest.importorskip("pyarrow.parquet")


@pytest.mark.parametrize("rows", [1, 1_000])
@pytest.mark.parametrize("columns", [1, 40])
def test_it_is_what_another_reader_finds(tmp_path: Path, rows: int, columns: int) -> None:
    path = tmp_path / "a.parquet"
    frame = pl.DataFrame({f"c{n}": [n / 3, None, "x"][n % 3] for n in range(columns)}).select(
        pl.all().repeat_by(rows).explode()
    )
    frame.write_parquet(path, row_group_size=max(rows // 30, 1))
    metadata = pq.read_metadata(path)

    groups = [metadata.row_group(n).total_byte_size for n in range(metadata.num_row_groups)]
    assert unpacked_bytes(path) == sum(groups)


def test_a_damaged_footer_gives_a_number_or_none(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame({"a": [1, 2], "b": ["x", None]}).write_parquet(path)
    complete, dice = path.read_bytes(), random.Random(1)

    for _ in range(2_000):
        changed = bytearray(complete)
        for _ in range(dice.randint(1, 6)):
            changed[dice.randrange(len(changed))] = dice.randrange(256)
        path.write_bytes(
            bytes(changed[: dice.randint(0, len(changed))] if dice.random() < 0.2 else changed)
        )

        assert unpacked_bytes(path) is None or isinstance(unpacked_bytes(path), int)


@pytest.mark.parametrize(
    "footer",
    [
        b"\x19\x19" * 500_000,
        b"\x1c" * 1_000_000,
        b"\x16" + b"\xff" * 1_000_000,
        b"\x19\xf1\xff\xff\x7f",
    ],
    ids=["lists in lists", "structs in structs", "a number without end", "a long list"],
)
def test_a_footer_that_is_made_to_cost_is_given_up(tmp_path: Path, footer: bytes) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1")

    assert unpacked_bytes(path) is None
