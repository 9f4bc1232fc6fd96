"""The columns that Rung adds to rows beside those of Row: in scored files, the log and what it collects."""

# The probability of the positive class, or the value; of several classes the most probable, of
# quantiles the median; null for a bad row.
PREDICTION = "prediction"
PROBABILITY = "probability_"  # and the name of a class: one column for each, of several classes
PROBLEM = "problem"  # why a row has no prediction; null for a good one
DEFAULTS_USED = "defaults_used"  # columns and entity features that had no value; null for a bad row
PREDICTION_ID = "prediction_id"  # id of the prediction in the log, where it is logged
PREDICTION_TIME = "prediction_time"  # when it was made
NOT_APPROVED = "not_approved"  # why the model is not approved, where an add-on says so
PREDICTED = "predicted"  # of a row that judges a model: what was predicted for it

# A column of Row of such a name would be lost.
RESERVED = frozenset(
    {
        *(PREDICTION, PROBLEM, DEFAULTS_USED, PREDICTION_ID, PREDICTION_TIME),
        *(NOT_APPROVED, PREDICTED),
    }
)
