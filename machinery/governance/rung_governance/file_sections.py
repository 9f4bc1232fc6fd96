"""What each section of the technical file rests on, beside what people wrote."""

from typing import Any

from rung_governance import operation_record, provenance
from rung_governance.file_parts import Part, document, record, report
from rung_ops.model.target import MULTICLASS, QUANTILE


def groups_compared(fairness: dict[str, Any]) -> str:
    """Say by what groups are compared, which the kind of problem decides.

    Args:
        fairness: content of reports/fairness.json.
    """
    task = fairness.get("task")
    if task == "classification":
        by = (
            f"By rates at the threshold {fairness['threshold']:g} of the change control plan: a "
            f"probability from there on counts as {fairness['positive']}."
        )
    elif task == MULTICLASS:
        by = (
            "By rates of each class against all others. A row is answered with its most probable "
            f"class, so there is no threshold. The classes: {', '.join(fairness['classes'])}."
        )
    elif task == QUANTILE:
        by = (
            "By the errors of the median, and by the share of rows that the interval holds, which is "
            f"to be {fairness['level']:g}, and its width. There is no threshold."
        )
    else:
        by = "By the errors of the predicted number. There is no threshold."
    return f"{by} A group of fewer than {fairness['smallest_group']} rows is in no difference."


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
            "How groups are compared",
            report("fairness.json", groups_compared),
            ("reports/fairness.json",),
        ),
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
