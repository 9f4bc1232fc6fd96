"""Set the registry alias `champion` to the version that production serves.

Only people use it: service, gate and rollback read the state of the environment. So an unreachable
registry delays nothing.
"""

import os

# One short try instead of several long ones; MLflow reads these when it is imported.
SHORT_TIMEOUT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}


def follow(version: str) -> str:
    """Set the alias; return the result as a sentence for the person who deploys."""
    for name, value in SHORT_TIMEOUT.items():
        os.environ.setdefault(name, value)
    try:
        from rung_ops.tracking import registry

        model = registry.model_name()
        registry.client().set_registered_model_alias(model, registry.CHAMPION, version)
    except Exception as error:  # an unreachable registry may raise anything
        reason = str(error).strip().splitlines()[0][:200]
        return (
            f"The alias `champion` could not be set to version {version} ({reason}). Run the same "
            "command again when the registry is reachable."
        )
    return f"{model} version {version} is {registry.CHAMPION} in the registry."
