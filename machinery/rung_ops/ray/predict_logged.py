"""Score on Ray and log each prediction: `uv run poe predict INPUT [OUTPUT]`."""

from rung_ops.batch import predict_logged
from rung_ops.ray import predict


def main() -> int:
    """Score a file and log each prediction; return the exit code."""
    return predict.main(before_writing=predict_logged.log_predictions)
