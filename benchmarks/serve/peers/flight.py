"""The request of the peers that take pydantic models: the rules of the flights' Row."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field


class Flight(BaseModel):
    """One flight as the timetable knows it."""

    scheduled: datetime
    carrier: str = Field(pattern=r"^[A-Z0-9]{2}$")
    flight: int = Field(ge=1, le=9999)
    origin: Literal["EWR", "JFK", "LGA"]
    destination: str = Field(pattern=r"^[A-Z]{3}$")
    distance: int = Field(ge=10, le=10_000)
