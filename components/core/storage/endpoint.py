"""Which object store to talk to, from the environment, and what its refusals mean."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import certifi
import urllib3
from minio import Minio
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from urllib3.exceptions import HTTPError, MaxRetryError, ResponseError, SSLError
from urllib3.util import Retry, Timeout

from components.core.errors import InputError, ServiceError

ENDPOINT = "TRAINYARD_S3_ENDPOINT"
ACCESS_KEY = "TRAINYARD_S3_ACCESS_KEY"
SECRET_KEY = "TRAINYARD_S3_SECRET_KEY"
REGION = "TRAINYARD_S3_REGION"

RETRIES = 7
"""Attempts after the first; the pauses between them double from 0.6 s to 10 s."""

RETRIED = (500, 502, 503, 504)


@dataclass(frozen=True)
class Endpoint:
    """An object store and our credentials there."""

    host: str
    secure: bool
    access_key: str = ""
    secret_key: str = field(default="", repr=False)
    region: str = ""

    @property
    def url(self) -> str:
        """Scheme, host and port; never holds credentials."""
        return f"{'https' if self.secure else 'http'}://{self.host}"

    @classmethod
    def from_environment(cls) -> Endpoint:
        """Reads the `TRAINYARD_S3_…` variables.

        Raises:
            ServiceError: with everything that is missing or malformed.
        """
        raw = os.environ.get(ENDPOINT, "").strip()
        access, secret = os.environ.get(ACCESS_KEY, ""), os.environ.get(SECRET_KEY, "")
        parts = urlsplit(raw)
        problems = []
        if not raw:
            problems.append(
                f"{ENDPOINT} is not set; it names the object store, as in http://minio:9000"
            )
        elif parts.username or parts.password:
            problems.append(f"{ENDPOINT} holds credentials; put them in {ACCESS_KEY}, {SECRET_KEY}")
        elif parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/"):
            problems.append(
                f"{ENDPOINT}={raw!r} is not of the form http://host:port or https://host"
            )
        if bool(access) != bool(secret):
            given, missing = (ACCESS_KEY, SECRET_KEY) if access else (SECRET_KEY, ACCESS_KEY)
            problems.append(f"{given} is set but {missing} is not; set both, or none for anonymous")
        if problems:
            raise ServiceError("; ".join(problems))
        region = os.environ.get(REGION, "").strip()
        return cls(parts.netloc, parts.scheme == "https", access, secret, region)

    def client(self, connections: int) -> Minio:
        """A patient client for the work itself: retries faults for about half a minute."""
        retry = Retry(
            total=RETRIES,
            backoff_factor=0.3,
            backoff_jitter=0.3,
            backoff_max=10,
            status_forcelist=RETRIED,
            allowed_methods=None,
        )
        return self._client(connections, Timeout(connect=10, read=60), retry)

    def quick_client(self) -> Minio:
        """A client that tells within about 5 s whether the object store answers."""
        retry = Retry(total=1, read=0, backoff_factor=0.1, status_forcelist=RETRIED)
        return self._client(1, Timeout(connect=2, read=4), retry)

    def _client(self, connections: int, timeout: Timeout, retry: Retry) -> Minio:
        http = urllib3.PoolManager(
            maxsize=connections,
            block=True,
            timeout=timeout,
            retries=retry,
            cert_reqs="CERT_REQUIRED",
            ca_certs=os.environ.get("SSL_CERT_FILE") or certifi.where(),
        )
        try:
            return Minio(
                self.host,
                access_key=self.access_key or None,
                secret_key=self.secret_key or None,
                secure=self.secure,
                region=self.region or None,
                http_client=http,
            )
        except ValueError as error:
            raise ServiceError(f"{ENDPOINT} names no server that can exist: {error}") from None

    @contextmanager
    def explained(self, uri: str) -> Iterator[None]:
        """Turns what minio-py and urllib3 raise inside into errors that name the cause and fix.

        Raises:
            InputError: the object does not exist.
            ServiceError: anything else that the object store or the way to it is the cause of.
        """
        try:
            yield
        except S3Error as error:
            raise self._refusal(error, uri) from None
        except InvalidResponseError:
            raise ServiceError(
                f"{self.url} answers, but not as an S3 object store; does {ENDPOINT} name the "
                "console or another server?"
            ) from None
        except (ServerError, MinioException) as error:
            raise ServiceError(f"{uri}: {self.url} failed: {error}") from None
        except HTTPError as error:
            raise self._unreachable(error) from None

    def _refusal(self, error: S3Error, uri: str) -> ServiceError | InputError:
        code = error.code or ""
        if code == "NoSuchBucket":
            return ServiceError(f"{uri}: {self.url} has no such bucket")
        if code in ("NoSuchKey", "ResourceNotFound"):
            return InputError(f"{uri} does not exist in {self.url}")
        if code == "InvalidAccessKeyId":
            why = f"it does not know the access key; correct {ACCESS_KEY}"
        elif code == "SignatureDoesNotMatch":
            why = f"the secret key is wrong; correct {SECRET_KEY}"
        elif code == "AccessDenied" and not self.access_key:
            why = f"it wants credentials; set {ACCESS_KEY} and {SECRET_KEY}"
        elif code == "AccessDenied":
            why = (
                f"the key of {ACCESS_KEY} has no permission for this; ask its administrator, and "
                f"set {REGION} if the key may not look up where a bucket lies"
            )
        elif code in ("AuthorizationHeaderMalformed", "InvalidRegion"):
            why = f"the region is wrong; correct or unset {REGION}"
        elif code == "RequestTimeTooSkewed":
            why = "this machine's clock differs too much from the server's; set it"
        else:
            why = f"{code}: {error.message}"
        return ServiceError(f"{uri}: {self.url} refuses: {why}")

    def _unreachable(self, error: HTTPError) -> ServiceError:
        reason = error.reason if isinstance(error, MaxRetryError) and error.reason else error
        if isinstance(reason, ResponseError):
            return ServiceError(f"{self.url} keeps failing: {reason}; see its own log")
        if isinstance(reason, SSLError):
            return ServiceError(
                f"{self.url} has no valid certificate ({reason}); name the file of its authority "
                f"in SSL_CERT_FILE, or use http:// in {ENDPOINT}"
            )
        detail = str(reason).rpartition(": ")[2]
        return ServiceError(
            f"{self.url} cannot be reached ({detail}); is the server up, and is {ENDPOINT} right?"
        )
