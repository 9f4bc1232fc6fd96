"""A store that the project's settings name."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from machinery.tests.data.object_store.fake import FakeStore
from rung_ops.data.object_store import settings


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeStore]:
    made = FakeStore()
    monkeypatch.setattr(settings, "settings_file", lambda: tmp_path / "store.toml")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "never-to-be-printed")
    made.write_settings(tmp_path)
    yield made
    made.close()
