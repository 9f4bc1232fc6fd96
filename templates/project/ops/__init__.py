"""The machinery around the model.

Rung keeps this file; change it through src/ and params.toml.
"""

import os

# MLflow asks its makers' server on every start unless it is told not to before it is imported.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
