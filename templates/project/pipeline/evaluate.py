"""Stage 5: score the model on the test rows; write figures, plots and reports/report.html.

Yours: add figures of your own to `metrics`.
"""

from rung_ops.stages import TEST, load_model, predict_rows, score, stage, write_report


@stage
def main() -> None:
    """Evaluate the trained model."""
    model = load_model()
    rows, predicted = predict_rows(model, TEST)
    metrics = score(rows, predicted)
    write_report(model, rows, predicted, metrics)


if __name__ == "__main__":
    main()
