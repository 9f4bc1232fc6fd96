"""The verbs of `rung-ops`: function, extra that installs it, and help."""

from typing import NamedTuple


class Verb(NamedTuple):
    """A verb: `MODULE` or `MODULE:FUNCTION` below rung_ops, the extra it needs, one line of help.

    first: a package to import before MODULE. skops looks for each of a thousand functions in all
    modules that are loaded: before the thousand of MLflow it takes a second less.
    """

    target: str
    extra: str
    help: str
    first: str = ""


# Verbs that run code of the project, and neither sign nor push anything. They run in a process
# without keys, but for those of the prediction log, which some read or write.
KEYLESS = frozenset(
    [
        *("explain", "fairness", "fairness-check", "records", "incoming", "track"),
        *("governance predict", "governance technical-file", "governance examine"),
        *("predict", "ray predict", "ray predict-logged", "tune", "ray tune", "baseline", "slices"),
    ]
)

VERBS = {
    # Data
    "object-store": Verb(
        "data.object_store.command", "store", "list the raw data in the object store, or `pull` it"
    ),
    "warehouse": Verb(
        "data.warehouse.command",
        "warehouse",
        "show what was pulled from the warehouse, or `pull` new rows",
    ),
    "incoming": Verb(
        "data.incoming:version", "track", "check and version new files in data/incoming"
    ),
    "pull": Verb("data.incoming:pull", "track", "fetch the versioned data"),
    "features": Verb(
        "features.registry", "train", "list the features: source, window, importance, drift, models"
    ),
    "features materialize": Verb(
        "features.materialize", "train", "compute the entity features that the service looks up"
    ),
    # Training
    "predict": Verb("batch.predict", "predict", "score a file of rows"),
    "tune": Verb("tracking.tune", "track", "search for better hyperparameters"),
    "baseline": Verb("training.baseline", "train", "compare the model with a baseline"),
    "slices": Verb("training.slices", "train", "score every slice"),
    "model-card": Verb(
        "training.model_card", "track", "fill the model card with the figures of the last run"
    ),
    # Runs and versions
    "track": Verb(
        "tracking.record_run", "track", "record the run and register the version", "skops.io"
    ),
    "lineage": Verb("release.lineage", "track", "print the origin of a model version"),
    "tracking ready": Verb("tracking.ready", "track", "check that the tracking server answers"),
    "tracking runs": Verb("tracking.runs", "track", "open the runs of the tracking server"),
    "tracking server": Verb("tracking.server", "tracking-server", "start the tracking server"),
    "tracking sync": Verb(
        "tracking.sync", "track", "copy runs that were recorded while the server was down"
    ),
    "tracking migrate": Verb("tracking.migrate", "track", "copy all local runs to the server"),
    # Gate and release
    "keys": Verb("release.keys", "release", "create the key pair that signs releases"),
    "keyless": Verb("project.keyless", "", "run a command without keys and tokens, as `dvc repro`"),
    "gate": Verb(
        "release.gate", "release", "compare a version with what production serves", "skops.io"
    ),
    "release": Verb("release.make", "release", "write a version as a signed bundle"),
    "sign": Verb("release.sign", "sign", "sign releases that another job of CI built"),
    "deploy": Verb("release.deploy", "release", "deploy a release to staging or production"),
    "rollback": Verb("release.rollback", "release", "roll back to the previous release"),
    "releases": Verb(
        "release.status",
        "release",
        "print the releases of each environment and their latest events",
    ),
    # Serving
    "serve": Verb("serving.serve", "serve", "start the prediction service"),
    "load-test": Verb(
        "load_test.run", "serve", "test the service under load against ops/service.toml"
    ),
    # Monitoring
    "monitor": Verb(
        "monitoring.run",
        "monitor",
        "monitor predictions: drift, missing values, freshness, quality",
    ),
    "autopilot": Verb(
        "autopilot.run",
        "monitor",
        "make one pass: observe, decide, retrain, gate, release, promote or roll back",
    ),
    "replay": Verb("replay.run", "monitor", "replay the sample through service and autopilot"),
    # Governance
    "records": Verb(
        "governance.records", "records", "check the governance records against their schemas"
    ),
    "fairness": Verb("training.fairness", "governance", "compare how the model treats groups"),
    "fairness-check": Verb(
        "governance.group_check", "governance", "compare the groups with the change control plan"
    ),
    "explain": Verb("training.explain", "governance", "explain predictions with SHAP"),
    "registry gate": Verb(
        "governance.rejudge", "governance", "compare a version with the registry's champion"
    ),
    "approve": Verb(
        "governance.approve", "governance", "approve of a version with your own key, or withdraw it"
    ),
    "governance release": Verb(
        "governance.release", "governance", "write a version as a signed bundle, unless withdrawn"
    ),
    "registry promote": Verb(
        "governance.registry_promotion", "governance", "make an approved version champion"
    ),
    "registry rollback": Verb(
        "governance.registry_rollback", "governance", "restore the previous champion"
    ),
    "governance keys": Verb(
        "governance.keys", "governance", "create the keys that sign releases and the audit log"
    ),
    "governance gate": Verb(
        "governance.rejudge", "governance", "compare a version with champion, plan and approval"
    ),
    "governance deploy": Verb(
        "governance.deploy",
        "governance",
        "deploy a release to staging, or to production as a shadow",
    ),
    "governance promote": Verb(
        "governance.promote", "governance", "promote an approved version in production"
    ),
    "governance rollback": Verb(
        "governance.rollback", "governance", "roll back to the previous release"
    ),
    "governance predict": Verb(
        "governance.batch", "governance", "score a file of rows and log each prediction"
    ),
    "governance stop": Verb(
        "governance.kill_switch:stop", "governance", "stop the model, with a reason"
    ),
    "governance resume": Verb(
        "governance.kill_switch:resume", "governance", "resume a stopped model"
    ),
    "governance audit-log": Verb(
        "governance.audit", "governance", "verify and print the audit log"
    ),
    "governance technical-file": Verb(
        "governance.technical_file", "governance", "assemble the technical file"
    ),
    "governance examine": Verb(
        "governance.examine", "governance", "show which requirement is met by what"
    ),
    "governance monitor": Verb(
        "governance.monitor", "governance", "monitor predictions by the monitoring plan"
    ),
    "governance erase": Verb(
        "governance.erasure.command", "governance", "erase a person's rows, or show where they are"
    ),
    "governance retention": Verb(
        "governance.retention", "governance", "delete what is past its date in retention.yaml"
    ),
    # Infrastructure
    "models": Verb("project.models", "train", "list the models of this repository, or add one"),
    "ray predict": Verb("ray.predict", "ray", "score a file or a folder of rows on Ray"),
    "ray predict-logged": Verb("ray.predict:logged", "ray", "score on Ray and log each prediction"),
    "ray tune": Verb("ray.tune", "ray", "search for better hyperparameters on Ray"),
    "kubernetes check": Verb(
        "kubernetes.check", "kubernetes", "build all overlays and check them against the schemas"
    ),
    "kubernetes deploy": Verb(
        "kubernetes.deploy", "kubernetes", "apply an overlay to the current cluster of kubectl"
    ),
    "kubernetes alerts": Verb(
        "kubernetes.alerts", "kubernetes", "write the alert rules for the Prometheus operator"
    ),
    "kubernetes scheduled": Verb(
        "kubernetes.scheduled", "kubernetes", "run monitor or autopilot in a pod"
    ),
    # Checks
    "policies": Verb("checks.policies", "train", "check every policy file in ops/"),
    "secrets": Verb("checks.secrets", "train", "check the files that git tracks for secrets"),
}
