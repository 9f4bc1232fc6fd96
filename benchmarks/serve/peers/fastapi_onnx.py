"""The same with ONNX Runtime, which is quick enough to run on the event loop itself."""

from fastapi import FastAPI
from flight import Flight
from model import Session

app = FastAPI()
model = Session()


@app.post("/predict")
async def predict(flight: Flight) -> dict[str, float]:
    """Predict one row."""
    return {"prediction": model.predict([flight.model_dump()])[0]}


@app.post("/predict/many")
async def predict_many(flights: list[Flight]) -> dict[str, list[float]]:
    """Predict many rows."""
    return {"predictions": model.predict([flight.model_dump() for flight in flights])}
