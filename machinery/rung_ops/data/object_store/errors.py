"""What can go wrong between here and the store, and what a person does about it."""

import botocore.exceptions as raised
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from rung_ops.system.disk import is_full

CREDENTIALS = "the environment, or .env (.env.example lists them)"

# What the store says, by its code, in words; and what to do.
KNOWN_ERRORS: dict[str, tuple[str, str]] = {
    "InvalidAccessKeyId": (
        "the store does not know this access key",
        f"Look at AWS_ACCESS_KEY_ID in {CREDENTIALS}.",
    ),
    "SignatureDoesNotMatch": (
        "the secret key does not belong to the access key",
        f"Look at AWS_SECRET_ACCESS_KEY in {CREDENTIALS}: no character may be missing.",
    ),
    "AccessDenied": (
        "this key may not do that",
        "The administrator of the bucket can allow it to list the bucket and to read its objects "
        "(s3:ListBucket, s3:GetObject).",
    ),
    "ExpiredToken": (
        "the credentials have expired",
        f"Get new ones, put all three into {CREDENTIALS}, and type it again: it goes on where "
        "it was.",
    ),
    "InvalidToken": (
        "the session token is not valid",
        f"Look at AWS_SESSION_TOKEN in {CREDENTIALS}; leave it empty for keys that last.",
    ),
    "RequestTimeTooSkewed": (
        "the clock of this machine is wrong by minutes, and the store takes no such requests",
        "Set the clock (`timedatectl set-ntp true`), and type it again.",
    ),
    "NoSuchBucket": (
        "there is no such bucket",
        "Look at `bucket` and `endpoint` in ops/store.toml, or make the bucket.",
    ),
    "NoSuchKey": ("the object is gone", "Type it again: the store is listed again."),
    "PreconditionFailed": (
        "the object changed while it was fetched",
        "Type it again: it is fetched from its beginning.",
    ),
    "AuthorizationHeaderMalformed": (
        "the bucket is in another region",
        "Name its region in AWS_DEFAULT_REGION.",
    ),
    "SlowDown": ("the store asks for fewer requests", "Wait some minutes, and type it again."),
}
SAME = {
    "403": "AccessDenied",
    "404": "NoSuchBucket",
    "412": "PreconditionFailed",
    "Forbidden": "AccessDenied",
    "ExpiredTokenException": "ExpiredToken",
    "TokenRefreshRequired": "ExpiredToken",
    "RequestExpired": "RequestTimeTooSkewed",
    "PermanentRedirect": "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException": "AuthorizationHeaderMalformed",
    "Throttling": "SlowDown",
    "ServiceUnavailable": "SlowDown",
}

BROKEN_OFF = (
    HTTPError,
    raised.ConnectionClosedError,
    raised.IncompleteReadError,
    raised.ReadTimeoutError,
    raised.ResponseStreamingError,
)
AGAIN = "Type it again when the connection is back: it goes on where it was."
LOGGED_OUT = (
    raised.CredentialRetrievalError,
    raised.MetadataRetrievalError,
    raised.SSOError,
    raised.TokenRetrievalError,
)


class StoreError(Exception):
    """The store, or the way to it, is not as it should be; says what, where and what to do."""


class Interrupted(StoreError):
    """The connection broke off; what was fetched so far is kept."""


def named(error: Exception, where: str) -> StoreError:
    """Say in words what botocore or the system raised.

    Args:
        error: from a request to the store, or from writing what it sent.
        where: what was asked for, as `s3://bucket/key at ENDPOINT`.
    """
    kind = Interrupted if isinstance(error, BROKEN_OFF) else StoreError
    what, remedy = _what(error)
    return kind(f"{where}: {what}. {remedy}")


def _what(error: Exception) -> tuple[str, str]:
    if isinstance(error, raised.ClientError):
        answer = error.response.get("Error", {})
        code = str(answer.get("Code", ""))
        known = KNOWN_ERRORS.get(SAME.get(code, code))
        return known or (
            f"the store answers {code} ({answer.get('Message') or 'and says no more'})",
            "Check ops/store.toml, or ask the administrator of the store.",
        )
    if isinstance(error, raised.NoCredentialsError | raised.PartialCredentialsError):
        return (
            "there are no credentials for the store",
            f"Put AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY into {CREDENTIALS}.",
        )
    if isinstance(error, LOGGED_OUT):
        return f"the credentials cannot be fetched ({error})", "Sign in again, and type it again."
    if isinstance(error, raised.SSLError):
        return f"the store's certificate is not trusted ({error})", "AWS_CA_BUNDLE names your own."
    if isinstance(error, BROKEN_OFF):
        return f"the connection broke off ({type(error).__name__})", AGAIN
    if isinstance(error, raised.ConnectionError):
        return (
            "nothing answers there",
            "Is the store running, and `endpoint` in ops/store.toml its address? " + AGAIN,
        )
    if is_full(error):
        return "the disk is full here", "Make room, and type it again: nothing is half written."
    if isinstance(error, OSError):
        return f"cannot be written here ({error.strerror or error})", "Look at who may write."
    if isinstance(error, ResponseParserError):
        return (
            "what answers there does not speak as an object store does",
            "Type it again. If it stays so, look at `endpoint` in ops/store.toml: it is the address "
            "for programs, not that of the console.",
        )
    return f"cannot be asked ({error})", "Look at ops/store.toml and at the AWS_ variables."
