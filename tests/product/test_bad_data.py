"""Bad data is named with file, column and row, and nothing is trained on it."""

from pathlib import Path

import pytest

from tests.product.variants import Project, start

pytestmark = pytest.mark.slow

HEADER = "scheduled,carrier,flight,origin,destination,distance,late\n"
GOOD = "2014-01-02T08:00:00,UA,1545,EWR,IAH,1400,false\n"
BAD = {
    "a wrong type": (HEADER + GOOD + GOOD.replace("1400", "far"), ["`distance`", "far", "(row 2)"]),
    "a fraction": (HEADER + GOOD.replace("1400", "1400.5"), ["`distance`", "1400.5", "(row 1)"]),
    "a missing column": ((HEADER + GOOD).replace("carrier,", "").replace("UA,", ""), ["`carrier`"]),
    "a value out of range": (HEADER + GOOD.replace("1400", "3"), ["`distance`", "3", "(row 1)"]),
    "an unknown category": (HEADER + GOOD.replace("EWR", "XXX"), ["`origin`", "XXX", "(row 1)"]),
    "an empty value": (HEADER + GOOD.replace("UA", ""), ["`carrier`", "empty", "(row 1)"]),
    "a duplicate key": (HEADER + GOOD + GOOD, ["scheduled, carrier, flight", "rows 1, 2"]),
    "an empty file": ("", ["cannot be read"]),
    "a file without rows": (HEADER, ["holds no rows"]),
    "bytes that are not UTF-8": (HEADER + GOOD.replace("UA", "\xff\xfe"), ["cannot be read"]),
}


@pytest.fixture(scope="module", params=[0, 2], ids=["rung 0", "rung 2"])
def project(
    request: pytest.FixtureRequest, copier_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Project:
    folder = tmp_path_factory.mktemp("bad") / "project"
    return start(copier_template, folder, level=request.param)


@pytest.mark.parametrize("what", BAD)
def test_bad_data_is_named_and_goes_no_further(project: Project, what: str) -> None:
    text, tokens = BAD[what]
    incoming = project.folder / "data/incoming"
    incoming.mkdir(exist_ok=True)
    (incoming / "january.csv").write_bytes(text.encode("latin-1"))
    try:
        output = project.fail("uv run poe train")
        request = project.fail("uv run poe validate")
    finally:
        (incoming / "january.csv").unlink()

    for word in ["data/incoming/january.csv", *tokens]:
        assert word in output, output
        assert word in request, request
    assert "Traceback" not in output
    assert not (project.folder / "model/model.skops").exists()
