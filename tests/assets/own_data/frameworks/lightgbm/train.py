"""Stage 4: fit the model to the training rows, a part of which is in memory at a time."""

from typing import Any

from rung_ops.stages import (
    TRAIN,
    contract,
    params,
    read_parts,
    save_model,
    stage,
    truth,
    weight_arguments,
)


def fit_parts(parts: Any) -> Any:
    """Build the model of model.py and fit it to rows in parts; `rung-ops refit` calls this, too."""
    settings = params()
    model = contract.build(settings["model"] | {"seed": settings["seed"]})
    return model.fit(parts, truth(parts.rows), **weight_arguments(model, parts.rows))


@stage
def main() -> None:
    """Train and save the model."""
    parts = read_parts(TRAIN)
    save_model(fit_parts(parts))
    print(f"fitted to {len(parts):,} rows in parts")


if __name__ == "__main__":
    main()
