"""Stage 4: fit the model to the training rows on two workers of Ray."""

from typing import Any

from rung_ops.stages import TRAIN, contract, fit_on_ray, params, read_parts, save_model, stage


def fit_parts(parts: Any) -> Any:
    """Build the model of model.py and fit it on Ray; `rung-ops refit` calls this, too."""
    settings = params()
    model = contract.build(settings["model"] | {"seed": settings["seed"]})
    return fit_on_ray(model, parts, workers=2, checkpoint_rounds=1)


@stage
def main() -> None:
    """Train and save the model."""
    parts = read_parts(TRAIN)
    save_model(fit_parts(parts))
    print(f"fitted to {len(parts):,} rows on Ray")


if __name__ == "__main__":
    main()
