"""What the stages of training call: the model, its report, tuning, slices, fairness."""
