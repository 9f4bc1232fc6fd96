"""Write the pipeline, with its features in front, as a model of MLflow; and MLServer's folder.

Run as `python mlflow_model.py FOLDER`; makes FOLDER/mlflow and FOLDER/mlserver.
"""

import json
import os
import sys
from pathlib import Path

import joblib
import mlflow
import pandas as pd
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from timetable import features

REQUIREMENTS = ["lightgbm", "pandas", "scikit-learn"]


def main() -> None:
    """Write both."""
    folder = Path(sys.argv[1]).resolve()
    fitted = joblib.load(Path(os.environ["BENCHMARK_MODEL"]) / "pipeline.joblib")
    rows = pd.DataFrame(json.loads((folder / "rows.json").read_text())[:5])
    rows["scheduled"] = pd.to_datetime(rows["scheduled"])
    model = Pipeline([("features", FunctionTransformer(features)), *fitted.steps])
    mlflow.sklearn.save_model(
        model,
        folder / "mlflow",
        signature=mlflow.models.infer_signature(rows, model.predict_proba(rows)),
        serialization_format="cloudpickle",
        pyfunc_predict_fn="predict_proba",
        code_paths=[str(Path(__file__).with_name("timetable.py"))],
        pip_requirements=REQUIREMENTS,
    )
    settings = {
        "name": "flights",
        "implementation": "mlserver_mlflow.MLflowRuntime",
        "parameters": {"uri": str(folder / "mlflow")},
    }
    (folder / "mlserver").mkdir(exist_ok=True)
    (folder / "mlserver/model-settings.json").write_text(json.dumps(settings))


if __name__ == "__main__":
    main()
