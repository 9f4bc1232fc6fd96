"""Any text in any answer is refused in words, or gives a project that parses."""

import ast
import re
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from rung.core import creation
from rung.core.template_source import Source, choose
from rung.errors import RungError
from rung.levels import template_answers
from tests.conftest import VENDORS, files_of
from tests.parsing import PARSERS

NASTY = [*"'\"\\\n\r\t#/", "{{", "}}", "{%", "${{", ": ", "- ", "..", "$("]
TEXT = st.one_of(
    st.text(max_size=30),
    st.lists(st.sampled_from([*NASTY, "a", "1", " "]), max_size=8).map("".join),
    st.text("abcXYZ019 .,&()+_-", min_size=1, max_size=85),
)
WORDS = [
    *("class", "test", "json", "polars", "ops", "src"),
    *("Test", "None", "con", "null", "yes", "1e5"),
]
ANSWERS = st.fixed_dictionaries(
    {},
    optional={
        "project_name": TEXT | st.sampled_from(WORDS),
        "package": st.text("abcz09_", min_size=1, max_size=42) | TEXT | st.sampled_from(WORDS),
        "description": TEXT
        | st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1),
        "use_case": st.sampled_from(["velocity", "governance", "", "both"]),
        "team_size": st.sampled_from(["one", "team", "teams"]),
        "ci": st.sampled_from(VENDORS),
        "level": st.sampled_from([0, 1, 2, "2", "x", -1]),
    },
)


@pytest.fixture(scope="session")
def source(copier_template: Path) -> Source:
    return choose(str(copier_template), None)


def holds(source: Source, given_answers: dict[str, Any]) -> bool:
    """Make a project of these answers and check it; return False when they are refused."""
    with tempfile.TemporaryDirectory() as directory:
        made = Path(directory) / "made"
        try:
            creation.create(made, source, given_answers, defaults=True, with_git=False)
        except RungError as error:
            assert error.code == 2
            assert str(error).strip()
            assert [] == list(Path(directory).iterdir())
            return False
        recorded = yaml.safe_load((made / ".copier-answers.yml").read_text("utf-8"))
        for question, answer in given_answers.items():
            assert str(answer) == str(recorded[question])
        for path, content in files_of(made).items():
            if Path(path).suffix in (".parquet", ".whl"):
                continue
            text = content.decode()
            assert not re.search(r"(?<!\$)\{\{|\{%", text), path
            if parse := PARSERS.get(Path(path).suffix):
                parse(text)
        package = recorded["package"]
        assert package.isidentifier()
        assert (made / "src" / package / "__init__.py").is_file()
        ast.parse(f"import {package}")
        project = tomllib.loads((made / "pyproject.toml").read_text("utf-8"))["project"]
        assert recorded["description"] == project["description"]
        return True


@settings(
    phases=[Phase.explicit],  # the slow suite draws more of them
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(ANSWERS)
@example({"project_name": "Test"})
@example({"project_name": "import"})
@example({"project_name": "(((("})
@example({"project_name": "A" + "-" * 79})
@example({"project_name": "9 lives"})
@example({"description": "\"'\\ : # & * ! | > %@` ${{ x }} }} %} \U0001f600 é 项目", "level": 2})
@example({"description": " : ", "use_case": "governance", "level": 2, "team_size": "teams"})
@example({"description": "#", "use_case": "governance", "level": 1})
def test_answers_are_refused_or_give_a_project_that_parses(
    source: Source, given_answers: dict[str, Any]
) -> None:
    holds(source, given_answers)


@pytest.mark.slow
@settings(
    max_examples=60,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(ANSWERS)
def test_many_answers_are_refused_or_give_a_project_that_parses(
    source: Source, given_answers: dict[str, Any]
) -> None:
    holds(source, given_answers)


@settings(derandomize=True)
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_file_of_answers_is_read_or_refused(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "answers.yml"
        file.write_bytes(content)
        try:
            assert isinstance(template_answers.read(file), dict)
        except RungError as error:
            assert error.code == 2
