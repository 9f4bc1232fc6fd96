"""The library that a project of Rung runs on."""

import os

__version__ = "0.2.0"

# MLflow sends usage data at each start unless this is set before it is imported.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

# OpenMP reads this when scikit-learn or LightGBM loads it. Threads that wait must not spin: on a busy
# machine that makes training three to ten times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
