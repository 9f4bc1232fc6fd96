"""The corpus' template, made once."""

from pathlib import Path

import pytest

from tests.upgrades import corpus


@pytest.fixture(scope="session")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a template with every version of the corpus, and today's."""
    return corpus.template(tmp_path_factory.mktemp("versions") / "template")
