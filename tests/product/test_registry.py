"""Today's registry still resolves what a project asks for, also without the release's date."""

import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import GAMES, LEVELS, Render
from tests.product.variants import Project

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("use_case", GAMES)
def test_the_packages_resolve_as_of_today(
    render: Render, tmp_path: Path, use_case: str, level: int
) -> None:
    project = render(use_case=use_case, level=level)
    text = (project / "pyproject.toml").read_text()
    today, dates = re.subn(r"^exclude-newer = .*\n", "", text, flags=re.MULTILINE)
    (tmp_path / "pyproject.toml").write_text(today)
    shutil.copytree(project / "vendor", tmp_path / "vendor")

    Project(tmp_path).run("uv lock")

    assert dates == 1
    assert (tmp_path / "uv.lock").stat().st_size > 10_000
