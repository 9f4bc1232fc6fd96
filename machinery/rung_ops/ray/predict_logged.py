"""Score on Ray and log each prediction: `uv run poe predict INPUT [OUTPUT]`."""

import sys

from rung_ops.batch import predict_logged
from rung_ops.ray import predict

if __name__ == "__main__":
    sys.exit(predict.main(before_writing=predict_logged.log_predictions))
