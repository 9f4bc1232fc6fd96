"""What governance brings to a project, as rung_ops.addons reads it."""

from rung_ops.addons import Addon, Verb

VERBS = {
    "records": Verb(
        "rung_governance.documents.records",
        "records",
        "check the governance records against their schemas",
        is_keyless=True,
    ),
    "fairness": Verb(
        "rung_ops.training.fairness", "all", "compare how the model treats groups", is_keyless=True
    ),
    "fairness-check": Verb(
        "rung_governance.approval.group_check",
        "all",
        "compare the groups with the change control plan",
        is_keyless=True,
    ),
    "explain": Verb(
        "rung_ops.training.explain", "all", "explain predictions with SHAP", is_keyless=True
    ),
    "registry gate": Verb(
        "rung_governance.approval.rejudge", "all", "compare a version with the registry's champion"
    ),
    "approve": Verb(
        "rung_governance.approval.approve",
        "all",
        "approve of a version with your own key, or withdraw it",
    ),
    "governance release": Verb(
        "rung_governance.approval.release",
        "all",
        "write a version as a signed bundle, unless withdrawn",
    ),
    "registry promote": Verb(
        "rung_governance.approval.registry_champion:promote",
        "all",
        "make an approved version champion",
    ),
    "registry rollback": Verb(
        "rung_governance.approval.registry_champion:rollback",
        "all",
        "restore the previous champion",
    ),
    "governance keys": Verb(
        "rung_governance.approval.keys",
        "all",
        "create the keys that sign releases and the audit log",
    ),
    "governance gate": Verb(
        "rung_governance.approval.rejudge",
        "all",
        "compare a version with champion, plan and approval",
    ),
    "governance deploy": Verb(
        "rung_governance.approval.deploy",
        "all",
        "deploy a release to staging, or to production as a shadow",
    ),
    "governance promote": Verb(
        "rung_governance.approval.promote", "all", "promote an approved version in production"
    ),
    "governance rollback": Verb(
        "rung_governance.approval.rollback", "all", "roll back to the previous release"
    ),
    "governance predict": Verb(
        "rung_governance.approval.batch",
        "all",
        "score a file of rows and log each prediction",
        is_keyless=True,
    ),
    "governance stop": Verb(
        "rung_governance.approval.kill_switch:stop", "all", "stop the model, with a reason"
    ),
    "governance resume": Verb(
        "rung_governance.approval.kill_switch:resume", "all", "resume a stopped model"
    ),
    "governance audit-log": Verb(
        "rung_governance.approval.audit", "all", "verify and print the audit log"
    ),
    "governance technical-file": Verb(
        "rung_governance.documents.technical_file",
        "all",
        "assemble the technical file",
        is_keyless=True,
    ),
    "governance examine": Verb(
        "rung_governance.documents.examine",
        "all",
        "show which requirement is met by what",
        is_keyless=True,
    ),
    "governance monitor": Verb(
        "rung_governance.monitor", "all", "monitor predictions by the monitoring plan"
    ),
    "governance erase": Verb(
        "rung_governance.privacy.erasure", "all", "erase a person's rows, or show where they are"
    ),
    "governance retention": Verb(
        "rung_governance.privacy.retention", "all", "delete what is past its date in retention.yaml"
    ),
    "ray predict-logged": Verb(
        "rung_governance.approval.batch:on_ray",
        "all",
        "score on Ray and log each prediction",
        is_keyless=True,
    ),
}

ADDON = Addon(
    summary="approval, audit, documents, privacy",
    path="governance",
    verbs=VERBS,
    guard="rung_governance.approval.oversight",
    keys=("governance/audit.pub",),
    model_format="rung_governance.approval.plan:refuse_own_format",
    stages=("governance/dvc.yaml",),
    documents="rung_governance.documents.records:of_a_model",
    checks=("records",),
    reports=("examination.json",),
    approval="check its figures and its validation (governance/validation/README.md), then run "
    "`uv run poe approve VERSION` (a validator) and `uv run poe promote VERSION`",
    stand_in="rung_governance.approval.stand_in",
)
