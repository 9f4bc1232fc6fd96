"""Judge drift by Evidently's preset: `with_evidently.py FOLDER preset|ks`.

`preset` takes its defaults, which at this size are distances (Wasserstein's, Jensen and Shannon's).
`ks` has it test the columns of numbers as `poe monitor` does: Kolmogorov and Smirnov's test, at the
same level. It has no test of two samples of texts: its chi-square takes the shares of the reference
as exact, and so finds changes where there are none.
"""

import json
import sys
import time
import warnings
from pathlib import Path

warnings.simplefilter("ignore")

import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset

imported = time.process_time()
folder = Path(sys.argv[1])
level = 0.01 / 20
preset = (
    DataDriftPreset()
    if sys.argv[2] == "preset"
    else DataDriftPreset(num_method="ks", num_threshold=level)
)
report = Report([preset]).run(
    pd.read_parquet(folder / "current.parquet"), pd.read_parquet(folder / "reference.parquet")
)
drifted = []
for metric in report.dict()["metrics"]:
    settings = metric["config"]
    if "column" in settings:
        far, value = settings["threshold"], metric["value"]
        by_distance = "distance" in settings["method"]
        if value >= far if by_distance else value < far:
            drifted.append(settings["column"])
done = time.process_time()
print(json.dumps({"drifted": drifted, "check": done - imported, "start": imported}))
