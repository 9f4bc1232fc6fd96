"""Stage 1: read every raw file with load() of dataset.py, one Parquet file each in data/ingested.

Yours: change it as your data needs it.
"""

from rung_ops.stages import ingest_files, stage


@stage
def main() -> None:
    """Ingest the files of data/sample and data/incoming."""
    ingest_files()


if __name__ == "__main__":
    main()
