"""Let the registry's alias `champion` follow what production serves.

Nothing but people looks at it: service, gate and rollback ask the state. So a registry that does
not answer delays nothing.
"""

import os

# One short try instead of several long ones; MLflow reads them when it is imported.
HASTE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}


def follow(version: str) -> str:
    """Set the alias; return what became of it, as a sentence for the person who deploys."""
    for name, value in HASTE.items():
        os.environ.setdefault(name, value)
    try:
        from rung_ops.tracking import registry

        model = registry.model_name()
        registry.client().set_registered_model_alias(model, registry.CHAMPION, version)
    except Exception as error:  # whatever a registry that is down or new may raise
        reason = str(error).strip().splitlines()[0][:200]
        return (
            f"The registry did not take the alias `champion` for version {version} ({reason}); "
            "the same command moves it once the registry answers."
        )
    return f"{model} version {version} is {registry.CHAMPION} in the registry."
