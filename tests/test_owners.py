"""Under governance risk owns what an approval is measured by, in every team above one."""

import pytest

from tests.conftest import CI, VENDORS, Render

PLACES = {name: CI[name].owners for name in VENDORS}
OWNED = ("governance/change_control_plan.yaml", "governance/allowed_signers", "ops/gate.toml")


def owner(text: str, path: str) -> str:
    """Find whom the last line that matches a path names: GitHub's rule."""
    result = ""
    for line in text.splitlines():
        directory, *owners = line.replace("|", " ").split() or [""]
        for part in directory.strip("`").split(";"):
            folder = part.strip("/").removesuffix("*").rstrip("/")
            if owners and (path == folder or path.startswith(f"{folder}/") or folder == ""):
                result = " ".join(owners)
    return result


@pytest.mark.parametrize("ci", PLACES)
@pytest.mark.parametrize("team_size", ["team", "teams"])
def test_risk_owns_what_an_approval_is_measured_by(render: Render, ci: str, team_size: str) -> None:
    project = render(use_case="governance", level=3, team_size=team_size, ci=ci)
    text = (project / PLACES[ci]).read_text()

    for path in (*OWNED, "params.toml"):
        assert "risk" in owner(text, path), path
        assert (project / path).is_file()
    assert "risk" in owner(text, "machinery/governance/rung_governance/approval/admission.py")
    if PLACES[ci].endswith("CODEOWNERS"):
        assert "risk" in owner(text, PLACES[ci])


@pytest.mark.parametrize("ci", PLACES)
def test_velocity_knows_no_risk_team(render: Render, ci: str) -> None:
    project = render(use_case="velocity", level=3, team_size="team", ci=ci)

    assert "risk" not in (project / PLACES[ci]).read_text()
    assert not (project / "governance").exists()


def test_a_team_of_one_has_no_second_key(render: Render) -> None:
    project = render(use_case="governance", level=3, team_size="one")

    assert not (project / "governance/allowed_signers").exists()
