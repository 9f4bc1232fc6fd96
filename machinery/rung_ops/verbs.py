"""The verbs of `rung-ops` that need no add-on; those of add-ons stand where they are."""

from functools import partial

from rung_ops.addons import Verb

# Environment variable of a replay: other verbs that it hands to the process which stages share, and which has
# no keys but its own.
ALSO_SHARED = "RUNG_SHARED_VERBS"

_of_project = partial(Verb, is_keyless=True)  # it runs code of the project

VERBS = {
    # Data
    "object-store": Verb(
        "rung_ops.data.object_store.pull",
        "store",
        "list the raw data in the object store, or `pull` it",
    ),
    "warehouse": Verb(
        "rung_ops.training.warehouse",
        "warehouse",
        "show what was pulled from the warehouse, or `pull` new rows",
    ),
    "incoming": _of_project(
        "rung_ops.data.incoming:version", "track", "check and version new files in data/incoming"
    ),
    "dvc": Verb(
        "rung_ops.release.report_page:run_dvc", "track", "run DVC, which names a lock file once"
    ),
    "pull": Verb("rung_ops.data.incoming:pull", "track", "fetch the versioned data"),
    "draft": Verb(
        "rung_ops.data.draft.files",
        "predict",
        "draft dataset.py, features.py, model.py and params.toml from a file of rows",
        is_alone=True,  # `rung new --from-file` runs it before a project is installed
    ),
    "features": Verb(
        "rung_ops.features.registry",
        "train",
        "list the features: source, window, importance, drift, models",
    ),
    "features materialize": Verb(
        "rung_ops.features.materialize",
        "train",
        "compute the entity features that the service looks up",
    ),
    # Training
    "stage": _of_project(
        "rung_ops.project.stage_process", "train", "run scripts of pipeline/, one after another"
    ),
    "predict": _of_project("rung_ops.batch.predict", "predict", "score a file of rows"),
    "tune": _of_project("rung_ops.tracking.tune", "track", "search for better hyperparameters"),
    "window": _of_project(
        "rung_ops.training.rolling_origin",
        "train",
        "compare windows of training rows by rolling origin",
    ),
    "baseline": _of_project(
        "rung_ops.training.baseline", "train", "compare the model with a baseline"
    ),
    "slices": _of_project("rung_ops.training.slice_scores", "train", "score every slice"),
    "refit": _of_project(
        "rung_ops.training.refit",
        "train",
        "fit the model that is released again to all rows, if params.toml says so",
    ),
    "model-card": Verb(
        "rung_ops.training.model_card",
        "track",
        "fill the model card with the figures of the last run",
    ),
    # Runs and versions
    "reports": Verb(
        "rung_ops.reports",
        "track",
        "write a page that leads to versions, releases and all other pages",
    ),
    "track": _of_project(
        "rung_ops.release.report_page:track",
        "track",
        "record the run and register the version",
        "skops.io",
    ),
    "lineage": Verb("rung_ops.release.lineage", "track", "print the origin of a model version"),
    "tracking ready": Verb(
        "rung_ops.tracking.server:check_ready", "track", "check that the tracking server answers"
    ),
    "tracking runs": Verb(
        "rung_ops.tracking.server:open_runs", "track", "open the runs of the tracking server"
    ),
    "tracking server": Verb(
        "rung_ops.tracking.server", "tracking-server", "start the tracking server"
    ),
    "tracking sync": Verb(
        "rung_ops.tracking.sync", "track", "copy runs that were recorded while the server was down"
    ),
    "tracking migrate": Verb(
        "rung_ops.tracking.sync:migrate", "track", "copy all local runs to the server"
    ),
    # Gate and release
    "keys": Verb(
        "rung_ops.release.signing:create_keys", "release", "create the key pair that signs releases"
    ),
    "keyless": Verb(
        "rung_ops.project.keyless", "", "run a command without keys and tokens, as `dvc repro`"
    ),
    "gate": Verb(
        "rung_ops.release.production_gate",
        "release",
        "compare a version with what production serves",
        "skops.io",
    ),
    "release": Verb("rung_ops.release.make", "release", "write a version as a signed bundle"),
    "sign": Verb(
        "rung_ops.release.signing:sign_releases",
        "sign",
        "sign releases that another job of CI built",
        is_alone=True,
    ),
    "deploy": Verb(
        "rung_ops.release.deploy", "release", "deploy a release to staging or production"
    ),
    "rollback": Verb("rung_ops.release.rollback", "release", "roll back to the previous release"),
    "releases": Verb(
        "rung_ops.release.status",
        "release",
        "print the releases of each environment and their latest events",
    ),
    # Serving
    "serve": Verb("rung_ops.serving.serve", "serve", "start the prediction service"),
    # Monitoring
    "monitor": Verb(
        "rung_ops.monitoring.observation",
        "monitor",
        "monitor predictions: drift, missing values, freshness, quality",
    ),
    "autopilot": Verb(
        "rung_ops.autopilot.passes",
        "monitor",
        "make one pass: observe, decide, retrain, gate, release, promote or roll back",
    ),
    # Several models
    "models": Verb(
        "rung_ops.project.models",
        "train",
        "list the models of this repository, or add one",
        is_alone=True,  # CI lists them with the library alone
    ),
    # Checks
    "policies": Verb("rung_ops.checks.policies", "train", "check every policy file in ops/"),
    "secrets": Verb(
        "rung_ops.checks.secrets", "train", "check the files that git tracks for secrets"
    ),
    "audit": Verb("rung_ops.checks.audit", "train", "check the packages for known vulnerabilities"),
}
