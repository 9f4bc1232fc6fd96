"""What the service says of itself and of the release that answers."""

from dataclasses import asdict
from typing import Any

from rung_ops.model.released import Release
from rung_ops.serving.service import Service

MANIFEST = (
    *("id", "model", "version", "created", "trained_until", "training_rows", "task", "format"),
    *("git_commit", "data_hash", "run_id", "parity", "packages"),
)


def service_status(service: Service) -> dict[str, Any]:
    """Tell which releases are held, whether requests are welcome, and what is wrong."""
    held = service.held
    on_trial = {
        "canary": held.canary.release.id if held.canary is not None else None,
        "shadow": held.shadow.release.id if held.shadow is not None else None,
    }
    last = service.rollout.last
    problems = list(held.problems) if held.serving is not None else [service.advice]
    if service.access.problem:
        problems.insert(0, service.access.problem)
    return {
        "ready": service.ready,
        "environment": service.environment,
        "serving": held.serving.release.id if held.serving is not None else None,
        **on_trial,
        "rollout": asdict(last) if last is not None else None,
        "stopped": asdict(service.stopped) if service.stopped is not None else None,
        "draining": service.draining,
        "problems": problems,
    }


def release_details(release: Release) -> dict[str, Any]:
    """Describe a release: origin, metrics and contract."""
    made = {name: release.manifest[name] for name in MANIFEST if name in release.manifest}
    return {"release": made, **release.documents, "contract": release.contract}
