"""The manifests in deploy/kubernetes: built, checked against Kubernetes' schemas, and applied."""

from rung_ops.addons import Addon, Verb

ADDON = Addon(
    summary="manifests, and what runs in pods",
    path="deploy/kubernetes",
    verbs={
        "kubernetes check": Verb(
            "rung_ops.kubernetes.manifests:check_overlays",
            "kubernetes",
            "build all overlays and check them against the schemas",
        ),
        "kubernetes deploy": Verb(
            "rung_ops.kubernetes.deploy",
            "kubernetes",
            "apply an overlay to the current cluster of kubectl",
        ),
        "kubernetes alerts": Verb(
            "rung_ops.kubernetes.manifests:write_alerts",
            "kubernetes",
            "write the alert rules for the Prometheus operator",
        ),
        "kubernetes scheduled": Verb(
            "rung_ops.kubernetes.scheduled", "kubernetes", "run monitor or autopilot in a pod"
        ),
    },
)
