"""Rebuild german_household.data: of the first model's sample, all but cars and businesses.

Type `uv run models/household_credits/data/sample/rebuild.py`.
"""

from pathlib import Path

TARGET = Path(__file__).with_name("german_household.data")
SOURCE = Path(__file__).parents[4] / "data/sample/german.data"
LEFT_OUT = {"A40", "A41", "A49"}  # cars, new and used, and businesses; in the fourth column

if __name__ == "__main__":
    lines = SOURCE.read_text("ascii").splitlines()
    rows = [line for line in lines if line.split()[3] not in LEFT_OUT]
    TARGET.write_text("".join(f"{row}\n" for row in rows), "ascii")
    print(f"{TARGET.name}: {len(rows)} rows")
