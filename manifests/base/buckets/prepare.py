"""Makes the buckets that are named, and the user of the Secret `trainyard-s3`, who may use them.

Runs in the cluster as the object store's administrator; repeating it changes nothing.
"""

from __future__ import annotations

import os
import sys
import time
from urllib.parse import urlsplit

import urllib3
from minio import Minio, MinioAdmin
from minio.credentials import StaticProvider
from minio.error import S3Error

PATIENCE_SECONDS = 300.0
POLICY = "trainyard"


def prepare(buckets: list[str]) -> None:
    """Waits for the object store, then creates what is missing."""
    parts = urlsplit(os.environ["TRAINYARD_S3_ENDPOINT"])
    user, password = os.environ["MINIO_ROOT_USER"], os.environ["MINIO_ROOT_PASSWORD"]
    secure = parts.scheme == "https"
    retries = urllib3.Retry(connect=0, read=0)
    http = urllib3.PoolManager(timeout=10, retries=retries)
    client = Minio(parts.netloc, user, password, secure=secure, http_client=http)
    _wait_for(client)
    for bucket in buckets:
        if not client.bucket_exists(bucket):
            client.make_bucket(bucket)
        print(f"bucket {bucket} is there")
    provider = StaticProvider(user, password)
    admin = MinioAdmin(credentials=provider, endpoint=parts.netloc, secure=secure, http_client=http)
    name = os.environ["TRAINYARD_S3_ACCESS_KEY"]
    admin.user_add(name, os.environ["TRAINYARD_S3_SECRET_KEY"])
    admin.policy_add(POLICY, policy=policy(buckets))
    admin.policy_set(POLICY, user=name)
    print("the user of trainyard-s3 may use them")


def policy(buckets: list[str]) -> dict[str, object]:
    """Reading and writing within these buckets; nothing else."""
    arns = [f"arn:aws:s3:::{bucket}" for bucket in buckets]
    whole = ["GetBucketLocation", "ListBucket", "ListBucketMultipartUploads"]
    within = ["AbortMultipartUpload", "DeleteObject", "GetObject", "PutObject"]
    within += ["ListMultipartUploadParts"]
    statements = [_allow(whole, arns), _allow(within, [f"{arn}/*" for arn in arns])]
    return {"Version": "2012-10-17", "Statement": statements}


def _allow(actions: list[str], resources: list[str]) -> dict[str, object]:
    names = [f"s3:{action}" for action in actions]
    return {"Effect": "Allow", "Action": names, "Resource": resources}


def _wait_for(client: Minio) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            client.list_buckets()
            return
        except (urllib3.exceptions.HTTPError, S3Error) as error:
            refusals = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied")
            final = isinstance(error, S3Error) and error.code in refusals
            if final or time.monotonic() > deadline:
                raise SystemExit(
                    f"error: the object store does not let us in: {error}; compare "
                    "TRAINYARD_S3_ENDPOINT (Secret trainyard-s3) and MINIO_ROOT_… "
                    "(Secret trainyard-servers) with the server's"
                ) from None
        time.sleep(2)


if __name__ == "__main__":
    prepare(sys.argv[1:])
