"""Whether a version may replace the champion."""

from rung_ops.gate.verdict import judge_predictions

__all__ = ["judge_predictions"]
