"""What each section of the technical file rests on, beside what people wrote."""

from rung_ops.governance import operation_record, provenance
from rung_ops.governance.file_parts import Part, document, record, report

SECTIONS: dict[int, tuple[Part, ...]] = {
    1: (
        Part("The use case", document("docs/use_case.md"), ("docs/use_case.md",)),
        Part(
            "The entry in the inventory",
            record("model_inventory", "models"),
            ("governance/model_inventory.yaml",),
        ),
        Part("What is known of it", provenance.inventory),
        Part("Instructions for use", document("docs/model_card.md"), ("docs/model_card.md",)),
        Part("This version", provenance.lineage),
    ),
    2: (
        Part("Source", provenance.source),
        Part("Parameters", provenance.parameters, ("params.toml",)),
        Part("Packages", provenance.packages, ("uv.lock",)),
        Part("Data", document("docs/datasheet.md"), ("docs/datasheet.md",)),
        Part(
            "Checks of the data",
            report("validation.json"),
            ("reports/validation.json",),
        ),
        Part("Personal data", document("docs/privacy.md"), ("docs/privacy.md",)),
        Part("Human oversight", document("governance/oversight.md"), ("governance/oversight.md",)),
        Part(
            "Changes that are foreseen",
            record("change_control_plan", "modifications"),
            ("governance/change_control_plan.yaml",),
        ),
        Part("Independent validation", provenance.validation),
    ),
    3: (
        Part("Scores on rows kept back", report("metrics.json"), ("reports/metrics.json",)),
        Part("By slice", report("slices.json"), ("reports/slices.json",)),
        Part("By group", report("fairness.json"), ("reports/fairness.json",)),
        Part(
            "What predictions rest on",
            report("explanations.json"),
            ("reports/explanations.json",),
        ),
        Part("What is put in", provenance.inputs),
    ),
    4: (
        Part("Against the simplest model", report("comparison.json"), ("reports/comparison.json",)),
        Part(
            "Bounds",
            record("change_control_plan", "protocol"),
            ("governance/change_control_plan.yaml",),
        ),
    ),
    5: (
        Part(
            "The risk register",
            record("risk_register", "risks"),
            ("governance/risk_register.yaml",),
        ),
        Part(
            "Impact of changes",
            record("change_control_plan", "impact"),
            ("governance/change_control_plan.yaml",),
        ),
    ),
    6: (
        Part("Versions", provenance.versions),
        Part("What production served", operation_record.served),
    ),
    7: (),
    8: (),
    9: (
        Part(
            "The plan",
            record("monitoring_plan", "system", "metrics", "incidents"),
            ("governance/monitoring_plan.yaml",),
        ),
        Part("Retention of logs", record("retention", "logs"), ("governance/retention.yaml",)),
        Part("The last look", operation_record.monitored),
    ),
}
