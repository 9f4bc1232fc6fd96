"""What governance brings to a project, as rung_ops.addons reads it."""

from rung_ops.addons import Addon, Verb


def _verb(target: str, summary: str, is_keyless: bool = False) -> Verb:
    return Verb(f"rung_governance.{target}", "all", summary, is_keyless=is_keyless)


VERBS = {
    "records": Verb(
        "rung_governance.documents.records",
        "records",
        "check the governance records against their schemas",
        is_keyless=True,
    ),
    "fairness": _verb("approval.fairness", "compare how the model treats groups", is_keyless=True),
    "fairness-check": _verb(
        "approval.bounds", "compare the groups with the change control plan", is_keyless=True
    ),
    "explain": _verb("documents.explain", "explain predictions with SHAP", is_keyless=True),
    "registry gate": _verb("approval.rejudge", "compare a version with the registry's champion"),
    "approve": _verb("approval.approve", "approve of a version with your own key, or withdraw it"),
    "governance release": _verb(
        "approval.release", "write a version as a signed bundle, unless withdrawn"
    ),
    "registry promote": _verb(
        "approval.registry_champion:promote", "make an approved version champion"
    ),
    "registry rollback": _verb(
        "approval.registry_champion:rollback", "restore the previous champion"
    ),
    "governance keys": _verb(
        "approval.keys", "create the keys that sign releases and the audit log"
    ),
    "governance gate": _verb(
        "approval.rejudge", "compare a version with champion, plan and approval"
    ),
    "governance deploy": _verb(
        "approval.deploy", "deploy a release to staging, or to production as a shadow"
    ),
    "governance promote": _verb("approval.promote", "promote an approved version in production"),
    "governance rollback": _verb("approval.deploy:rollback", "roll back to the previous release"),
    "governance stop": _verb("approval.kill_switch:stop", "stop the model, with a reason"),
    "governance resume": _verb("approval.kill_switch:resume", "resume a stopped model"),
    "governance audit-log": _verb("approval.audit", "verify and print the audit log"),
    "governance technical-file": _verb(
        "documents.technical_file", "assemble the technical file", is_keyless=True
    ),
    "governance examine": _verb(
        "documents.examine", "show which requirement is met by what", is_keyless=True
    ),
    "governance monitor": _verb("monitor", "monitor predictions by the monitoring plan"),
    "governance erase": _verb("privacy.erasure", "erase a person's rows, or show where they are"),
    "governance retention": _verb(
        "privacy.retention", "delete what is past its date in retention.yaml"
    ),
}

ADDON = Addon(
    summary="approval, audit, documents, privacy",
    path="governance",
    verbs=VERBS,
    guard="rung_governance.approval.oversight",
    keys=("governance/audit.pub",),
    model_format="rung_governance.approval.plan:refuse_own_format",
    before_writing="rung_governance.approval.batch:log_predictions",
    stages=("governance/dvc.yaml",),
    documents="rung_governance.documents.records:of_a_model",
    checks=("records",),
    reports=("examination.json",),
    approval="check its figures and its validation (governance/validation/README.md), then run "
    "`uv run poe approve VERSION` (a validator) and `uv run poe promote VERSION`",
    stand_in="rung_governance.approval.stand_in",
)
