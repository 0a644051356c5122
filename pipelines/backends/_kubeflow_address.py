"""Where the Kubeflow Pipelines API is and how to be let in, as the environment says."""

from __future__ import annotations

import atexit
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from components.core.errors import ServiceError, SettingsError

URL, CA = "TRAINYARD_KUBEFLOW_URL", "TRAINYARD_KUBEFLOW_CA"
TOKEN, TOKEN_FILE = "TRAINYARD_KUBEFLOW_TOKEN", "TRAINYARD_KUBEFLOW_TOKEN_FILE"

_PEM = "-----BEGIN CERTIFICATE-----"
_EXAMPLES = (
    "such as https://kubeflow.example.org/pipeline, or http://ml-pipeline.kubeflow:8888 "
    "inside the cluster"
)


@dataclass(frozen=True)
class Address:
    """The API's address; the token is read when it is needed, as files of tokens are renewed."""

    url: str
    """Without a slash at the end; `/apis/…` follows."""
    ca: str = ""
    """The certificates to trust (PEM), or a file with them; '' for the usual ones."""
    token_file: str = ""
    """'' where the environment holds the token itself."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Address:
        """The address that the environment gives.

        Raises:
            SettingsError: with everything that is wrong with it.
        """
        url, ca = environment.get(URL, "").strip(), environment.get(CA, "").strip()
        file, token = environment.get(TOKEN_FILE, "").strip(), environment.get(TOKEN, "")
        found = [problem] if (problem := _url_problem(url)) else []
        if ca and not ca.startswith(_PEM) and not Path(ca).is_file():
            found.append(f"{CA}: there is no file {ca}; it has to hold the CA's certificate (PEM)")
        if file and not token and not os.access(file, os.R_OK):
            found.append(f"{TOKEN_FILE}: {file} cannot be read")
        if re.search(r"\s", token.strip()):
            found.append(f"{TOKEN}: it has a blank or a line break inside; give the token alone")
        if found:
            raise SettingsError(found, "the environment")
        plain = re.sub(r"/apis(/v\d\w*)?$", "", url.partition("#")[0].rstrip("/"))
        return cls(plain.rstrip("/"), ca, "" if token else file)

    def ca_file(self) -> str | None:
        """A file with the certificates to trust."""
        if not self.ca.startswith(_PEM):
            return self.ca or None
        with tempfile.NamedTemporaryFile("w", suffix=".pem", delete=False) as file:
            file.write(self.ca)
        atexit.register(Path(file.name).unlink, missing_ok=True)
        return file.name

    def token(self) -> str:
        """The token as it is now; '' where none is given.

        Raises:
            ServiceError: its file is gone.
        """
        if not self.token_file:
            return os.environ.get(TOKEN, "").strip()
        try:
            return Path(self.token_file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ServiceError(
                f"{TOKEN_FILE}: cannot read {self.token_file} ({error.strerror})"
            ) from None

    @property
    def host(self) -> str:
        """Name of the machine."""
        return urlsplit(self.url).hostname or self.url

    def run_page(self, run: str) -> str:
        """Where people look at a run."""
        return f"{self.url}/#/runs/details/{run}"


def environment_problems() -> list[str]:
    """What is wrong with the environment, to be told with everything else."""
    try:
        Address.from_environment()
    except SettingsError as error:
        return list(error.problems)
    return []


def _url_problem(url: str) -> str:
    if not url:
        return f"{URL} is not set: the address of the Kubeflow Pipelines API, {_EXAMPLES}"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return f"{URL}: it is no address; expected one {_EXAMPLES}"
    if parts.username or parts.password:
        return f"{URL}: it holds credentials; give the token in {TOKEN} or {TOKEN_FILE}"
    if not usable:
        return f"{URL}: {url!r} is no http address; expected one {_EXAMPLES}"
    return ""
