"""Tuning, batch scoring and training on Ray: on this machine, or on a cluster."""

from rung_ops.addons import Addon, Backend, Verb

ADDON = Addon(
    summary="tuning, batch scoring and training on Ray",
    path="ops/ray.toml",
    policies={"ray.toml": ("rung_ops.ray.settings:settings",)},
    stage_functions={"fit_on_ray": "rung_ops.ray.train:fit_on_ray"},
    scoring={"ray": Backend("rung_ops.ray.predict:run", "ray")},
    verbs={
        "ray tune": Verb(
            "rung_ops.ray.tune", "ray", "search for better hyperparameters on Ray", is_keyless=True
        ),
    },
)
