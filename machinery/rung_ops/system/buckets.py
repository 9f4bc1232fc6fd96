"""A client of buckets for releases and logs (decision 70), and its errors in words."""

import functools
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import obstore
from obstore import exceptions
from obstore.store import ObjectStore, from_url

from rung_ops.errors import OpsError
from rung_ops.system import key_names
from rung_ops.system.patience import IS_PATIENT

if TYPE_CHECKING:
    from obstore.store import RetryConfig

PART = 8 * 1024**2  # bytes of one request, which ends within TIMEOUT; S3 takes no parts below 5 MiB
TIMEOUT = "15s"
TRIES = 3  # to read a part
# Of a command: while a store is busy or has just started, it answers with 5xx.
RETRY: "RetryConfig" = {
    "max_retries": 8,
    "backoff": {"init_backoff": timedelta(seconds=0.5), "max_backoff": timedelta(seconds=5)},
    "retry_timeout": timedelta(seconds=20),
}
ENDPOINTS = {  # what obstore reads, by scheme
    "s3": ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"),
    "gs": ("GOOGLE_BASE_URL",),
    "az": (
        *("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
        *("AZURE_AUTHORITY_HOST", "AZURITE_BLOB_STORAGE_URL"),
    ),
}
NO_BUCKET = ("NoSuchBucket", "ContainerNotFound")
KNOWN = {
    **dict.fromkeys(NO_BUCKET, "there is no such bucket"),
    "AccessDenied": "these credentials may not do that",
    "AuthenticationFailed": "the store does not accept these credentials",
    "AuthorizationFailure": "these credentials may not do that",
    "AuthorizationPermissionMismatch": "these credentials may not do that",
    "ExpiredToken": "the credentials have expired",
    "InvalidAccessKeyId": "the store does not know this access key",
    "SignatureDoesNotMatch": "the secret key does not belong to the access key",
}


class BucketError(OpsError, OSError):
    """The bucket cannot be used: unreachable like a folder on a share, so also an OSError."""


def client(address: str) -> ObjectStore:
    """Return the client of an address; credentials and ENDPOINTS are those of the environment.

    Raises:
        BucketError: one of ENDPOINTS is no address of a server.
    """
    key_names.drop_unset()
    names = ENDPOINTS[address.partition(":")[0]]
    for name in names:  # with another value obstore panics, which is no Exception
        endpoint = os.environ.get(name)
        if endpoint and not re.match(r"https?://[^/]", endpoint):
            raise BucketError(f"{name}={endpoint}: expected an address with http:// or https://.")
    is_plain = any(os.environ.get(name, "").startswith("http://") for name in names)
    return _client(address, is_plain, IS_PATIENT.get())


@functools.lru_cache(maxsize=8)  # with its connections
def _client(address: str, is_plain: bool, is_patient: bool) -> ObjectStore:
    return from_url(
        address,
        client_options={"allow_http": is_plain, "timeout": TIMEOUT, "connect_timeout": "3s"},
        retry_config=RETRY if is_patient else {"max_retries": 0},
    )


def listed(store: ObjectStore, prefix: str | None = None) -> list[Any]:
    """List the objects below a prefix, as obstore describes them."""
    return [stored for page in obstore.list(store, prefix=prefix) for stored in page]


def parts(
    store: ObjectStore, key: str, size: int, before: Callable[[], None] = lambda: None
) -> Iterator[Any]:
    """Read an object of `size` bytes part by part; call `before` each time that one is asked for."""
    for start in range(0, size, PART):
        for left in reversed(range(TRIES)):
            before()
            try:
                yield obstore.get_range(store, key, start=start, end=min(start + PART, size))
                break
            except exceptions.GenericError:  # such as a line that broke
                if not left:
                    raise


def lacks_bucket(error: FileNotFoundError) -> bool:
    """Return whether the bucket is missing, rather than an object in it."""
    return any(code in str(error) for code in NO_BUCKET)


@contextmanager
def in_words(address: str) -> Iterator[None]:
    """Raise BucketError with the reason where obstore fails."""
    try:
        yield
    except BucketError:
        raise
    except (exceptions.BaseError, FileNotFoundError, ValueError) as error:
        raise BucketError(f"{address}: {_reason(str(error))}.") from error


def _reason(text: str) -> str:
    """Say what happened, without the milliseconds and the nested errors that obstore adds."""
    if code := re.search(r"<Code>(\w+)</Code>", text):
        return f"{KNOWN.get(code[1], 'the store refuses it')} ({code[1]})"
    last = text.splitlines()[0].rpartition(" - ")[2]
    return "nothing answers there" if "error sending request" in last else last[:200].rstrip(". ")
