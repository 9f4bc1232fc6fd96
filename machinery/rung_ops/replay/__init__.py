"""`poe replay`: send the sample's rows period by period through the service and the autopilot of a copy."""

from rung_ops.addons import Addon, Verb

ADDON = Addon(
    summary="the sample, month by month through service and autopilot",
    path="ops/autopilot.toml",
    report_sections={"Replay": "replay/timeline.json"},
    verbs={
        "replay": Verb(
            "rung_ops.replay.simulation",
            "monitor",
            "replay the sample through service and autopilot",
        )
    },
)
