"""Stage 2: check every row against Row of dataset.py; write data/rows.parquet if all hold.

Yours: change it as your data needs it.
"""

from rung_ops.stages import ROWS, check_rows, stage


@stage
def main() -> None:
    """Validate the ingested rows; nothing is written when one breaks a rule."""
    rows = check_rows()
    rows.write_parquet(ROWS)


if __name__ == "__main__":
    main()
