"""What a project has is said alike by levels/has.jinja, for Copier, and by `level_contents.contents`."""

import json
from collections.abc import Iterator
from typing import Any

import jinja2
import pytest
import yaml

from rung.core import level_contents
from rung.core.template_source import Source
from tests.conftest import ROOT, VARIANTS, name_of

SAY = """\
{% from 'levels/has.jinja' import collect with context %}
{% set has = {} %}
{% set _ = collect(has, level) %}
{{ [has.commands.items() | list, has.asks, has.answers_ask] | tojson }}
"""
SETTINGS = yaml.safe_load((ROOT / "copier.yml").read_text().partition("---")[0])["_envops"]


def questions() -> Iterator[tuple[str, Any]]:
    """Give the hidden questions that the levels are to Copier, as Copier answers them."""
    for file in [*(f"{number}.yml" for number in range(5)), "infrastructure.yml", "ci/names.yml"]:
        for name, question in yaml.safe_load((ROOT / "levels" / file).read_text()).items():
            yield name, question["default"]


@pytest.fixture(scope="module")
def macro() -> Any:
    """Return a function that says what a project has, by the template's macro."""
    loader = jinja2.FileSystemLoader(ROOT)
    undefined = jinja2.StrictUndefined
    jinja = jinja2.Environment(loader=loader, **(SETTINGS | {"undefined": undefined}))
    context = dict(questions())
    for name, question in yaml.safe_load((ROOT / "levels/collected.yml").read_text()).items():
        text = jinja.from_string(question["default"]).render(context)
        context[name] = yaml.safe_load(text)
    say = jinja.from_string(SAY)

    def has(answers: dict[str, Any]) -> Any:
        said = {
            "answers": {
                **answers,
                "ejected": "no",
                "documents": "with_rung",
                "service_image": "hand",
            },
            **answers,
        }
        return json.loads(say.render(context | said))

    return has


@pytest.mark.parametrize("answers", VARIANTS, ids=name_of)
def test_template_and_plan_say_the_same(macro: Any, answers: dict[str, Any]) -> None:
    said = macro(answers)
    found = level_contents.contents(Source(str(ROOT), "", None), answers)

    commands = [list(command) for command in found.commands.items()]
    assert [commands, found.asks, found.answers_ask] == said
