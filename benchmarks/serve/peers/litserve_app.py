"""LitServe as its documentation shows it, with scikit-learn's pipeline or ONNX Runtime.

`BENCHMARK_RUNTIME` is `sklearn` or `onnx`; with `BENCHMARK_BATCH` it batches requests.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import litserve
from model import Pipeline, Session

BATCH = int(os.environ.get("BENCHMARK_BATCH", "1"))


class Flights(litserve.LitAPI):
    """Late arrivals: a request is one row, or a list of rows where requests are not batched."""

    def setup(self, device: str) -> None:
        """Load the model."""
        self.model = Session() if os.environ["BENCHMARK_RUNTIME"] == "onnx" else Pipeline()

    def decode_request(self, request):  # with a type FastAPI would look for it in the query
        """Take the body as it is."""
        return request["rows"]

    def batch(self, inputs: list[Any]) -> list[Any]:
        """Put single rows together."""
        return inputs

    def unbatch(self, output: list[float]) -> list[float]:
        """Give each request its own."""
        return output

    def predict(self, x: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> Any:
        """Predict one row, or many."""
        if isinstance(x, Mapping):
            return self.model.predict([x])[0]
        return self.model.predict(x)

    def encode_response(self, output: Any) -> dict[str, Any]:
        """Name what is sent."""
        return {"prediction": output}


if __name__ == "__main__":
    batching = {"max_batch_size": BATCH, "batch_timeout": 0.005} if BATCH > 1 else {}
    server = litserve.LitServer(Flights(**batching), accelerator="cpu")
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning"
    )
