"""The twenty features of project/features.py, the way a service without Polars computes them."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pandas as pd

PARTS = np.array(["night", "morning", "afternoon", "evening"])


def features(rows: pd.DataFrame) -> pd.DataFrame:
    """Compute the features of raw rows with pandas, as most tutorials do."""
    departure = pd.to_datetime(rows["scheduled"]).dt
    clock = departure.hour + departure.minute / 60
    day = clock * (2 * np.pi / 24)
    week = departure.weekday * (2 * np.pi / 7)
    year = (departure.month - 1) * (2 * np.pi / 12)
    return pd.DataFrame(
        {
            "carrier": rows["carrier"],
            "origin": rows["origin"],
            "destination": rows["destination"],
            "route": rows["origin"] + "-" + rows["destination"],
            "part_of_day": PARTS[(departure.hour // 6).to_numpy()],
            "distance": rows["distance"],
            "log_distance": np.log(rows["distance"]),
            "long_haul": (rows["distance"] >= 1500).astype("int8"),
            "clock": clock,
            "minute": departure.minute,
            "weekday": departure.weekday + 1,
            "day": departure.day,
            "month": departure.month,
            "weekend": (departure.weekday >= 5).astype("int8"),
            "day_sin": np.sin(day).round(6),
            "day_cos": np.cos(day).round(6),
            "week_sin": np.sin(week).round(6),
            "week_cos": np.cos(week).round(6),
            "year_sin": np.sin(year).round(6),
            "year_cos": np.cos(year).round(6),
        }
    )


def tensors(
    scheduled: Sequence[datetime],
    carrier: Sequence[str],
    origin: Sequence[str],
    destination: Sequence[str],
    distance: Sequence[int],
) -> dict[str, np.ndarray]:
    """Compute the features of raw columns for ONNX Runtime: no frame, arrays of shape (n, 1)."""
    hour = np.array([moment.hour for moment in scheduled])
    minute = np.array([moment.minute for moment in scheduled])
    weekday = np.array([moment.weekday() for moment in scheduled])
    month = np.array([moment.month for moment in scheduled])
    miles = np.array(distance)
    clock = hour + minute / 60
    day = clock * (2 * np.pi / 24)
    week = weekday * (2 * np.pi / 7)
    year = (month - 1) * (2 * np.pi / 12)
    texts = {
        "carrier": list(carrier),
        "origin": list(origin),
        "destination": list(destination),
        "route": [f"{start}-{end}" for start, end in zip(origin, destination, strict=True)],
        "part_of_day": PARTS[hour // 6],
    }
    numbers = {
        "distance": miles,
        "log_distance": np.log(miles),
        "long_haul": miles >= 1500,
        "clock": clock,
        "minute": minute,
        "weekday": weekday + 1,
        "day": np.array([moment.day for moment in scheduled]),
        "month": month,
        "weekend": weekday >= 5,
        "day_sin": np.sin(day).round(6),
        "day_cos": np.cos(day).round(6),
        "week_sin": np.sin(week).round(6),
        "week_cos": np.cos(week).round(6),
        "year_sin": np.sin(year).round(6),
        "year_cos": np.cos(year).round(6),
    }
    return {
        name: np.array(values, dtype=object).reshape(-1, 1) for name, values in texts.items()
    } | {name: values.astype(np.float32).reshape(-1, 1) for name, values in numbers.items()}
