"""Score on Ray and log each prediction: `uv run poe predict INPUT [OUTPUT]`.

Rung keeps this file; change it through src/ and ray.toml.
"""

import sys

from ops import predict_logged
from ops.cluster import predict

if __name__ == "__main__":
    sys.exit(predict.main(before_writing=predict_logged.log_predictions))
