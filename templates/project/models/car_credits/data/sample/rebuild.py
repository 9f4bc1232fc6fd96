"""Rebuild german_cars.data: of the first model's sample, the credits for cars.

Type `uv run models/car_credits/data/sample/rebuild.py`.
"""

from pathlib import Path

TARGET = Path(__file__).with_name("german_cars.data")
SOURCE = Path(__file__).parents[4] / "data/sample/german.data"
CARS = {"A40", "A41"}  # new and used, in the fourth column

if __name__ == "__main__":
    rows = [row for row in SOURCE.read_text("ascii").splitlines() if row.split()[3] in CARS]
    TARGET.write_text("".join(f"{row}\n" for row in rows), "ascii")
    print(f"{TARGET.name}: {len(rows)} rows")
