"""`rung-ops policies` reads each policy file as the library does, and names what is wrong."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rung_ops import settings
from rung_ops.checks import policies
from rung_ops.errors import SettingsError
from rung_ops.project import current

FILES = sorted(name for name in policies.READERS if (current().root / "ops" / name).is_file())


def run(project: Path) -> subprocess.CompletedProcess[str]:
    """Run the verb in a project."""
    command = [sys.executable, "-m", "rung_ops", "policies"]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """What the verb reads of the project."""
    shutil.copytree(current().root / "ops", tmp_path / "ops")
    shutil.copytree(current().root / "src", tmp_path / "src")
    shutil.copy2(current().root / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_files_of_a_new_project_pass(project: Path) -> None:
    done = run(project)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "gate.toml" in FILES


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_not_toml_is_named(project: Path, name: str) -> None:
    file = project / "ops" / name
    file.write_text(file.read_text("utf-8") + "\n= broken\n", encoding="utf-8")

    done = run(project)

    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"ops/{name}: ")
    assert "line" in line


@pytest.mark.parametrize("value", ["inf", "-inf", "nan"])
@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("margin = {}", "margin"),
        ("[gate]\nsteps = [0.1, {}]", "gate.steps"),
        ("[[gate.bounds]]\nbound = {}", "gate.bounds.bound"),
    ],
)
def test_what_is_no_finite_number_is_refused(
    tmp_path: Path, text: str, where: str, value: str
) -> None:
    file = tmp_path / "gate.toml"
    file.write_text(text.format(value), encoding="utf-8")

    with pytest.raises(SettingsError, match=rf"gate.toml: `{where}` is {value}"):
        settings.toml(file)


@pytest.mark.parametrize("name", FILES)
def test_a_value_of_another_type_is_named(project: Path, name: str) -> None:
    file = project / "ops" / name
    text, changed = re.subn(
        r"(?m)^(\w+) = [\d.]+(?= *(#.*)?$)", r"\1 = ['x']", file.read_text("utf-8"), count=1
    )
    assert changed == 1
    file.write_text(text, encoding="utf-8")

    done = run(project)

    assert done.returncode == 1
    assert f"ops/{name}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("uri = 'somewhere'", "[server] uri: expected `str` matching regex '://'"),
        ("when_down = 'wait'", "[server] when_down: invalid enum value 'wait'"),
        (
            "timeout_seconds = true",
            "[server] timeout_seconds: expected `float`, got `bool`",
        ),
        ("timeout = 3", "unknown field `timeout`; did you mean `timeout_seconds`?"),
    ],
)
def test_a_value_of_the_tracking_server_is_named(project: Path, line: str, message: str) -> None:
    (project / "ops/tracking.toml").write_text(f"[server]\n{line}\n", encoding="utf-8")

    done = run(project)

    assert done.returncode == 1
    assert message in done.stderr
