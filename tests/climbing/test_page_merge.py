"""What people write into RUNG.md is kept, and is never a conflict."""

from pathlib import Path

import pytest

from rung.core.merging import line_merge
from tests.climbing.tiny import climb, commit

EDITS = {
    "another title": ("# Rung 0\n", "# Our own title\n"),
    "a line beside Rung's": ("# Rung 0\n", "# Rung 0\nWe stay here.\n"),
    "a line at the end": ("With github.\n", "With github.\n\nAsk Ann.\n"),
    "no end of line": ("With github.\n", "With github. Ask Bob"),
    "nothing of Rung's": ("# Rung 0\n\nWith github.\n", "Ours alone\n"),
    "markdown of ours": ("# Rung 0\n", "# Rung 0\n\nOurs\n=======\n\n---\n"),
    "windows": ("# Rung 0\n\nWith github.\n", "# Rung 0\r\nOurs\r\n\r\nWith github.\r\n"),
}


@pytest.mark.parametrize(("old", "new"), EDITS.values(), ids=EDITS)
def test_an_edit_of_the_page_is_kept_and_never_a_conflict(
    project: Path, old: str, new: str
) -> None:
    file = project / "RUNG.md"
    file.write_bytes(file.read_bytes().decode().replace(old, new).encode())
    commit(project)
    own = [line for line in new.splitlines() if line and line not in old]
    for answers in ({"level": 1}, {"level": 2, "ci": "gitlab"}, {"level": 0}, {"level": 2}):
        climb(project, **answers)
        text = file.read_text()
        assert f"# Rung {answers['level']}\n" in text
        assert own == [line for line in own if line in text.splitlines()]
        assert all(text.splitlines().count(line) == 1 for line in own)
        assert text.count(line_merge.YOURS_BELOW.decode()) <= 1


def test_the_template_ends_the_page_with_the_line() -> None:
    from tests.conftest import ROOT

    text = (ROOT / "templates/project/RUNG.md.jinja").read_bytes()

    assert text.endswith(line_merge.YOURS_BELOW + b"\n")


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (b'- cron: "7 */4 * * *" # ours', b'- cron: "7 */4 * * *" # ours'),
        (b"", b""),  # taken out
        (b'- cron: "51 * * * *"', b'- cron: "51 6 * * *"'),
    ],
)
def test_a_schedule_of_the_users_own_is_kept_without_a_conflict(
    own: bytes, expected: bytes
) -> None:
    base, theirs = (
        b'on:\n- cron: "%s"\nname: a\n' % each for each in (b"51 * * * *", b"51 6 * * *")
    )
    ours = b"on:\n%s\nname: a\n" % own

    kept = line_merge.with_own_schedules(base, ours, theirs)

    assert line_merge.merge(base, ours, kept) == (b"on:\n%s\nname: a\n" % expected, 0)
