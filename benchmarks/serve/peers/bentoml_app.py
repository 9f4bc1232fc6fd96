"""BentoML as its documentation shows it, with scikit-learn's pipeline or ONNX Runtime.

`BENCHMARK_RUNTIME` is `sklearn` or `onnx`; `predict_batch` is its adaptive batching.
"""

import os

import bentoml
from flight import Flight
from model import Pipeline, Session


@bentoml.service
class Flights:
    """Late arrivals."""

    def __init__(self) -> None:
        self.model = Session() if os.environ["BENCHMARK_RUNTIME"] == "onnx" else Pipeline()

    @bentoml.api
    def predict(self, flight: Flight) -> dict[str, float]:
        """Predict one row."""
        return {"prediction": self.model.predict([flight.model_dump()])[0]}

    @bentoml.api
    def predict_many(self, flights: list[Flight]) -> dict[str, list[float]]:
        """Predict many rows."""
        return {"predictions": self.model.predict([flight.model_dump() for flight in flights])}

    @bentoml.api(batchable=True)
    def predict_batch(self, flights: list[Flight]) -> list[float]:
        """Predict the rows of all requests that came together."""
        return self.model.predict([flight.model_dump() for flight in flights])
