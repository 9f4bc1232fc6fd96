"""A conflict says where it is in the user's own file."""

from rung.core.merging import line_merge
from rung.core.merging.conflict import Hunk, hunks

LINES = [f"{number}\n" for number in range(1, 30)]


def test_places_are_numbered_by_the_users_lines() -> None:
    mine, rungs = list(LINES), list(LINES)
    mine[0:2] = ["mine\n", "mine too\n", "and mine\n"]
    rungs[1] = "rung\n"
    mine[20] = "mine\n"
    rungs[20:22] = []
    texts = ["".join(lines).encode() for lines in (LINES, mine, rungs)]
    marked, count = line_merge.merge(*texts)

    assert 2 == count
    assert [
        Hunk(1, "mine\nmine too\nand mine\n", "1\nrung\n"),
        Hunk(21, "mine\n21\n22\n", "20\n"),
    ] == hunks(marked)


def test_lines_that_look_like_markers_of_another_kind_are_text() -> None:
    assert [] == hunks(b"<<<<<<< HEAD\na\n=======\nb\n>>>>>>> main\n")
