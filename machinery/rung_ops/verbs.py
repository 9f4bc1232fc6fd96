"""Every verb of `rung-ops`: the function that runs it, the extra that installs it, what it does."""

from typing import NamedTuple


class Verb(NamedTuple):
    """A verb: `MODULE` or `MODULE:FUNCTION` below rung_ops, the extra it needs, one line of help."""

    target: str
    extra: str
    help: str


VERBS = {
    # Data
    "object-store": Verb(
        "data.object_store.command", "store", "list the raw data in the object store, or `pull` it"
    ),
    "warehouse": Verb(
        "data.warehouse.command:cli",
        "warehouse",
        "show what was taken from the warehouse, or `pull` new rows",
    ),
    "incoming": Verb(
        "data.incoming:version", "track", "check and version new files in data/incoming"
    ),
    "pull": Verb("data.incoming:pull", "track", "get the data that is versioned"),
    # Training
    "predict": Verb("batch.predict", "predict", "score a file of rows"),
    "tune": Verb("training.tune", "track", "search for better parameters"),
    "baseline": Verb("training.baseline", "train", "compare the model with the simplest ones"),
    "slices": Verb("training.slices", "train", "score every slice"),
    "model-card": Verb(
        "training.model_card", "track", "fill the model card with the figures of the last run"
    ),
    # Runs and versions
    "track": Verb("tracking.record_run", "track", "record the run and register the version"),
    "lineage": Verb("tracking.lineage", "track", "print what a model version was made from"),
    "tracking ready": Verb("tracking.ready", "track", "say whether the tracking server answers"),
    "tracking runs": Verb("tracking.runs", "track", "open the runs of the tracking server"),
    "tracking server": Verb("tracking.server", "tracking-server", "start the tracking server"),
    "tracking sync": Verb(
        "tracking.sync", "track", "copy runs recorded here while the server was down"
    ),
    "tracking migrate": Verb(
        "tracking.migrate", "track", "copy all runs recorded here to the server"
    ),
    # Gate and release
    "keys": Verb("release.keys", "release", "make the key pair that signs releases"),
    "gate": Verb("release.gate", "release", "compare a version with what production serves"),
    "release": Verb("release.make", "release", "write a version as a signed bundle"),
    "deploy": Verb("release.deploy", "release", "bring a release to staging or production"),
    "rollback": Verb("release.rollback", "release", "put the previous release back"),
    "releases": Verb("release.status", "release", "print what is served, and what happened to it"),
    # Serving
    "serve": Verb("serving.serve", "serve", "start the prediction service"),
    "load-test": Verb(
        "load_test.run", "serve", "test the service under load against ops/service.toml"
    ),
    # Monitoring
    "monitor": Verb(
        "monitoring.run",
        "monitor",
        "check what was predicted: drift, missing values, age, outcomes",
    ),
    "autopilot": Verb(
        "autopilot.run",
        "monitor",
        "make one pass: observe, decide, retrain, gate, release, promote or roll back",
    ),
    "replay": Verb(
        "replay.run", "monitor", "replay the sample's time through service and autopilot"
    ),
    # Governance
    "records": Verb(
        "governance.records", "records", "check the governance records against their schemas"
    ),
    "fairness": Verb("training.fairness", "governance", "compare how the model treats groups"),
    "explain": Verb("training.explain", "governance", "explain predictions with SHAP"),
    "registry gate": Verb(
        "gate.judge", "governance", "compare a version with the registry's champion"
    ),
    "registry promote": Verb(
        "governance.registry_promotion", "governance", "make an approved version champion"
    ),
    "registry rollback": Verb(
        "governance.registry_rollback", "governance", "make the previous champion champion again"
    ),
    "governance keys": Verb(
        "governance.keys", "governance", "make the keys that sign releases and the audit log"
    ),
    "governance gate": Verb(
        "governance.gate", "governance", "compare a version with champion, plan and approval"
    ),
    "governance deploy": Verb(
        "governance.deploy", "governance", "bring a release to staging, or to production's shadow"
    ),
    "governance promote": Verb(
        "governance.promote", "governance", "let an approved version answer"
    ),
    "governance rollback": Verb(
        "governance.rollback", "governance", "put the previous release back"
    ),
    "governance predict": Verb(
        "batch.predict_logged", "governance", "score a file of rows and log each prediction"
    ),
    "governance stop": Verb(
        "governance.kill_switch:stop", "governance", "switch the model off, with a reason"
    ),
    "governance resume": Verb(
        "governance.kill_switch:resume", "governance", "switch the model on again"
    ),
    "governance audit-log": Verb(
        "governance.audit", "governance", "verify the audit log, and print it"
    ),
    "governance technical-file": Verb(
        "governance.technical_file", "governance", "assemble the technical file"
    ),
    "governance monitor": Verb(
        "governance.monitor", "governance", "check what was predicted, by the monitoring plan"
    ),
    # Infrastructure
    "models": Verb("project.models", "train", "list the models of this repository, or add one"),
    "ray predict": Verb("ray.predict", "ray", "score a file or a folder of rows on Ray"),
    "ray predict-logged": Verb("ray.predict:logged", "ray", "score on Ray and log each prediction"),
    "ray tune": Verb("ray.tune", "ray", "search for better parameters on Ray"),
    "kubernetes check": Verb(
        "kubernetes.check", "kubernetes", "build every overlay and check it against the schemas"
    ),
    "kubernetes deploy": Verb(
        "kubernetes.deploy", "kubernetes", "bring an overlay to the cluster of kubectl"
    ),
    "kubernetes alerts": Verb(
        "kubernetes.alerts", "kubernetes", "write the alert rules for the Prometheus operator"
    ),
    "kubernetes scheduled": Verb(
        "kubernetes.scheduled", "kubernetes", "run monitor or autopilot in a pod"
    ),
    # Checks
    "policies": Verb("checks.policies", "train", "check every policy file in ops/"),
    "secrets": Verb("checks.secrets", "train", "look for secrets in the files that git tracks"),
}
