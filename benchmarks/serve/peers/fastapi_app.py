"""The usual FastAPI tutorial: a pydantic model, scikit-learn's pipeline on a DataFrame.

FastAPI runs a `def` endpoint in a thread, which is what its documentation advises for work that
blocks.
"""

from fastapi import FastAPI
from flight import Flight
from model import Pipeline

app = FastAPI()
model = Pipeline()


@app.post("/predict")
def predict(flight: Flight) -> dict[str, float]:
    """Predict one row."""
    return {"prediction": model.predict([flight.model_dump()])[0]}


@app.post("/predict/many")
def predict_many(flights: list[Flight]) -> dict[str, list[float]]:
    """Predict many rows."""
    return {"predictions": model.predict([flight.model_dump() for flight in flights])}
