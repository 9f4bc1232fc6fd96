"""What has to be in order before a version is approved or promoted, beside the approval itself."""

from datetime import date

from rung_governance import approval, example_text, record_quality
from rung_governance.record_check import overdue_reviews
from rung_ops.project import documents


def objections(version: approval.Version) -> list[str]:
    """List documents of the example, records past their review, and what the validation lacks."""
    root = approval.root()
    return [
        *record_quality.objections(version),
        *overdue_reviews(root),
        *example_text.objections(root),
    ]


def warnings(version: approval.Version) -> list[str]:
    """List what is past its day while a version answers: reviews of records, findings of it."""
    overdue = overdue_reviews(approval.root())
    for path in approval.record_paths(version):
        try:
            overdue += record_quality.overdue(documents.record(path), date.today())
        except documents.UnreadableDocumentError:
            continue  # which approval.objections() says
    return overdue
