"""The SDK's HTTP layer with a timeout on every request, and repeats where they do no harm.

All calls of the SDK pass through here, also those that it makes itself to log in and to upload.
"""

from __future__ import annotations

import os
import random
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import certifi
import urllib3
from cvat_sdk.api_client import ApiClient, Configuration
from cvat_sdk.api_client.exceptions import ApiException
from cvat_sdk.api_client.rest import RESTClientObject
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    InvalidHeader,
    MaxRetryError,
    NewConnectionError,
)
from urllib3.util import Retry

from components.core.cvat.patience import Patience

RETRIED = (500, 502, 503, 504)
TOO_MANY = 429


def api_client(url: str, patience: Patience) -> Any:
    """An ApiClient of the SDK with our HTTP layer; nothing is contacted yet."""
    configuration = Configuration(
        host=url, ssl_ca_cert=os.environ.get("SSL_CERT_FILE") or certifi.where()
    )
    # A redirected POST would arrive as a GET, and credentials are not for other hosts.
    configuration.retries = Retry(total=0, redirect=0, raise_on_redirect=False)
    client = ApiClient(configuration)
    client.rest_client = Rest(configuration, patience)
    client.user_agent = "trainyard"
    return client


class Rest(RESTClientObject):  # type: ignore[misc]  # the SDK has no types
    """RESTClientObject that is patient, and never endlessly so."""

    def __init__(self, configuration: Any, patience: Patience) -> None:
        super().__init__(configuration)
        self.patience = patience

    def request(
        self,
        method: str,
        url: str,
        query_params: Any = None,
        headers: dict[str, Any] | None = None,
        body: Any = None,
        post_params: Any = None,
        **options: Any,
    ) -> urllib3.BaseHTTPResponse:
        """As the SDK's, but repeated while the server is busy or fails for a moment.

        Requests that change something in a way that counts when it happens twice are repeated only
        where they cannot have been carried out: no connection was made, or the server refused them
        as too many.

        Raises:
            ApiException: an answer other than success.
            HTTPError: no answer.
        """
        patience = self.patience
        if not options.get("_request_timeout"):
            options["_request_timeout"] = (patience.connect_seconds, patience.read_seconds)
        harmless = repeatable(method, url, query_params)
        wait = patience.first_seconds
        for attempt in range(patience.retries + 1):
            last = attempt == patience.retries
            asked = 0.0
            try:
                # The SDK takes entries out of the headers that it is given.
                answer: urllib3.BaseHTTPResponse = super().request(
                    method, url, query_params, dict(headers or {}), body, post_params, **options
                )
                return answer
            except ApiException as error:
                again = error.status == TOO_MANY or (harmless and error.status in RETRIED)
                asked = _asked(error.headers)
                if last or not again or asked > patience.longest_asked_seconds:
                    raise
            except HTTPError as error:
                if last or not (harmless or never_connected(error)):
                    raise
            time.sleep(max(asked, wait * random.uniform(0.75, 1.25)))
            wait = min(2 * wait, patience.longest_seconds)
        raise AssertionError("the last attempt returns or raises")


def repeatable(method: str, url: str, query_params: Any = None) -> bool:
    """Whether doing it twice has the effect of doing it once."""
    parts = urlsplit(url)
    if method.upper() in ("GET", "HEAD", "PUT", "DELETE"):
        return True
    if method.upper() == "POST":
        return parts.path.endswith(("/api/auth/login", "/export"))
    if method.upper() != "PATCH":
        return False
    action = dict(query_params or {}).get("action") or parse_qs(parts.query).get("action", [""])[0]
    return "/api/jobs/" in parts.path if not action else action == "delete"


def never_connected(error: HTTPError) -> bool:
    """Whether the request cannot have reached the server."""
    reason = error.reason if isinstance(error, MaxRetryError) else error
    return isinstance(reason, NewConnectionError | ConnectTimeoutError)


def _asked(headers: Any) -> float:
    """Seconds that the server wants us to wait."""
    value = headers.get("Retry-After") if headers else None
    try:
        return float(Retry().parse_retry_after(value)) if value else 0.0
    except InvalidHeader:
        return 0.0
