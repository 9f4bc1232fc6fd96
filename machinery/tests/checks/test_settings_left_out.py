"""What a project's settings file leaves out is on docs/settings.md, with its default."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from rung_ops.monitoring import limits
from rung_ops.project import service_settings
from rung_ops.project.paths import policy_file
from rung_ops.project.service_settings import Logging

DOCS = Path(__file__).parents[3] / "docs"
DEFAULTS: dict[str, dict[str, Any]] = {
    "service.toml": {
        "service": service_settings.Limits(),
        "reasons": service_settings.ReasonSettings(),
        "log": Logging(),
    },
    "monitor.toml": {
        name: getattr(limits.Limits(), name) for name in limits.Limits.__struct_fields__
    },
}


@pytest.mark.skipif(not (DOCS / "generate").is_dir(), reason="the page is in Rung's own docs")
@pytest.mark.parametrize("name", DEFAULTS)
def test_each_setting_is_in_the_file_or_on_the_page_with_its_default(name: str) -> None:
    written = tomllib.loads(policy_file(name).read_text(encoding="utf-8"))
    more = tomllib.loads((DOCS / "generate/more" / name).read_text(encoding="utf-8"))

    assert f"### More of ops/{name}" in (DOCS / "settings.md").read_text(encoding="utf-8")
    assert more.keys() <= DEFAULTS[name].keys()
    for table, default in DEFAULTS[name].items():
        here, there = written.get(table, {}), more.get(table, {})
        files = f"[{table}] of templates/project/ops/{name} or docs/generate/more/{name}"
        assert here.keys() | there.keys() == set(default.__struct_fields__), f"add it to {files}"
        assert not here.keys() & there.keys(), f"keep it in one place: {files}"
        assert there == {key: getattr(default, key) for key in there}, f"correct {files}"
