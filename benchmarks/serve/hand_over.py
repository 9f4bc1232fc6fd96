"""Give the peers what the project trained: `python hand_over.py PROJECT FOLDER`, in its environment.

Writes pipeline.joblib, rows.json (raw rows that the model was not trained on) and expected.json
(scikit-learn's own probabilities of them, in their order).
"""

import json
import os
import sys
from pathlib import Path

ROWS = 2_000


def main() -> None:
    """Write the three files."""
    project, folder = (Path(argument).resolve() for argument in sys.argv[1:])
    sys.path.insert(0, str(project))
    os.chdir(project)  # rung_ops looks for its project from here upwards

    import joblib
    import polars as pl

    from rung_ops import contract
    from rung_ops.project import current
    from rung_ops.training import estimator

    model = estimator.load(current().model_file)
    rows = pl.read_parquet(current().test).sample(ROWS, seed=1)
    expected = estimator.predict(model, rows)
    raw = rows.drop(contract.TARGET).with_columns(
        pl.col("scheduled").dt.strftime("%Y-%m-%dT%H:%M:%S")
    )
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, folder / "pipeline.joblib")
    (folder / "rows.json").write_text(json.dumps(raw.to_dicts()))
    (folder / "expected.json").write_text(json.dumps(expected.tolist()))


if __name__ == "__main__":
    main()
