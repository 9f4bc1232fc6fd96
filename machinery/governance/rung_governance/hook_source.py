"""Whether the service's hooks are of the source that was approved with the release that answers.

Hooks are imported from the service's own src/, which its image or checkout has, and change what is
answered. An approval names the source of the release: hooks of another one are reported.
"""

from collections.abc import Mapping
from typing import Any

from rung_ops import contract
from rung_ops.project import current, hooks
from rung_ops.release import source_hash
from rung_ops.serving.state_reader import Objection

# Those of rung_ops.project.hooks that the service calls.
OF_SERVICE = ("asgi_middleware", "routes", "before_prediction", "after_prediction")


class HookSource:
    """The hooks of this service, as they were when it started."""

    def __init__(self) -> None:
        """Read their names, and hash the source that they are imported from."""
        named = hooks.named()
        self._named = {name: str(named[name]) for name in OF_SERVICE if name in named}
        self._hash = (
            source_hash.of_folder(current().root, contract.package()) if self._named else ""
        )

    def objection(self, manifest: Mapping[str, Any]) -> Objection | None:
        """Say that a release of a verified manifest answers through hooks of other source."""
        for name, target in self._named.items():
            module = target.partition(":")[0]
            if module.partition(".")[0] != contract.package():
                return _reported(manifest, f"{name} of {module}, whose source no approval names")
        if self._named and self._hash != source_hash.of_files(manifest.get("files", {})):
            names = ", ".join(self._named)
            return _reported(manifest, f"{names} of other source in src/ than was approved with it")
        return None


def _reported(manifest: Mapping[str, Any], what: str) -> Objection:
    return Objection(f"{manifest['id']} answers through the hook {what}", refuses=False)
