"""Every error of the store says what, where and what to do."""

from pathlib import Path

import botocore.exceptions as raised
import pytest

from machinery.tests.conftest import Capture, Patch
from machinery.tests.data.object_store.fake import FakeStore
from rung_ops.data.object_store import client, pull, settings
from rung_ops.data.object_store.client import store_error
from rung_ops.errors import SettingsError

UNSAID = "never-to-be-printed"


@pytest.mark.parametrize(
    ("status", "code", "arguments"),
    [
        (403, "InvalidAccessKeyId", ("does not know", "AWS_ACCESS_KEY_ID")),
        (403, "SignatureDoesNotMatch", ("does not belong", "AWS_SECRET_ACCESS_KEY")),
        (403, "AccessDenied", ("may not", "s3:ListBucket")),
        (400, "ExpiredToken", ("have expired", "Get new ones")),
        (403, "RequestTimeTooSkewed", ("clock", "timedatectl")),
        (400, "InvalidToken", ("session token", "AWS_SESSION_TOKEN")),
        (400, "AuthorizationHeaderMalformed", ("another region", "AWS_DEFAULT_REGION")),
        (503, "SlowDown", ("fewer requests", "Wait")),
        (404, "NoSuchBucket", ("no such bucket", "store.toml")),
        (418, "Teapot", ("Teapot", "store.toml")),
    ],
)
def test_what_the_store_refuses_is_put_into_words(
    store: FakeStore, capsys: Capture, status: int, code: str, arguments: tuple[str, ...]
) -> None:
    store.says = status, code

    assert pull.main([]) == 1

    output = capsys.readouterr().err
    assert f"s3://data/raw/ at {store.endpoint}: " in output
    assert [word for word in arguments if word not in output] == []
    assert UNSAID not in output


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (raised.NoCredentialsError(), "no credentials"),
        (raised.EndpointConnectionError(endpoint_url="http://there"), "nothing answers"),
        (raised.ReadTimeoutError(endpoint_url="http://there"), "broke off"),
        (raised.SSLError(endpoint_url="https://there", error="self-signed"), "not trusted"),
        (ConnectionResetError(104, "Connection reset by peer"), "cannot be written"),
        (ValueError("Invalid endpoint: nonsense"), "Invalid endpoint"),
    ],
)
def test_what_happens_on_the_way_is_put_into_words(error: Exception, word: str) -> None:
    assert word in str(store_error(error, "s3://data/raw/ at AWS"))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[store\n", "is not valid TOML"),
        ("[store]\nprefix = 'raw'\n", "`bucket` is missing"),
        ("[store]\nbucket = 3\n", "[store] bucket: expected"),
        ("[store]\nbucket = 'data'\nbuckt = 'a'\n", "`buckt`"),
        ("[store]\nbucket = 'data'\n[take]\nfiles = '*'\n", "[take] files: expected"),
    ],
)
def test_invalid_settings_are_named(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "store.toml"
    path.write_text(text)

    with pytest.raises(SettingsError, match="store.toml") as broken:
        settings.read(path)

    assert word in str(broken.value)


def test_of_the_remote_of_dvc_the_reason_is_reported(
    store: FakeStore, tmp_path: Path, monkeypatch: Patch
) -> None:
    config = tmp_path / "config"
    config.write_text(
        "[core]\n    remote = store\n['remote \"store\"']\n    url = s3://data/dvc\n"
        f"    endpointurl = {store.endpoint}\n"
    )
    monkeypatch.setattr(client, "dvc_config", lambda: config)

    assert "s3:PutObject" in client.remote_advice()
    store.says = 400, "ExpiredToken"
    assert "s3://data/dvc/" in client.remote_advice() and "have expired" in client.remote_advice()
