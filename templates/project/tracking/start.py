"""Make the bucket where it is missing, then become the program that is named.

Runs in the container of the tracking server, without the project. Rung keeps this file; change what
it reads in compose.yaml.
"""

import os
import sys
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import ClientError


def make_bucket(name: str, endpoint: str | None) -> None:
    """Make a bucket; one that is there is left as it is."""
    store = boto3.client("s3", endpoint_url=endpoint)
    try:
        store.head_bucket(Bucket=name)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            sys.exit(f"The store at {endpoint} does not show the bucket {name}: {error}")
        store.create_bucket(Bucket=name)


if __name__ == "__main__":
    place = urlsplit(os.environ["MLFLOW_ARTIFACTS_DESTINATION"])
    make_bucket(place.netloc, os.environ.get("MLFLOW_S3_ENDPOINT_URL"))
    os.execvp(sys.argv[1], sys.argv[1:])
