"""The machinery that a project of Rung runs on."""

import os

__version__ = "0.2.0"

# MLflow sends usage data at each start unless this is set before it is imported.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
