"""Object stores that are misconfigured, absent, silent, or something else: told in seconds."""

import http.server
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.annotation_sync.reach import unreachable
from components.annotation_sync.stage import AnnotationSyncSettings
from components.core.errors import InputError, ServiceError
from components.core.storage import open_storage, read_file

VARIABLES = ("ENDPOINT", "ACCESS_KEY", "SECRET_KEY", "REGION")
SECRET = "a-secret-that-no-message-shows"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(f"TRAINYARD_S3_{name}", raising=False)


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINYARD_S3_ACCESS_KEY", "someone")
    monkeypatch.setenv("TRAINYARD_S3_SECRET_KEY", SECRET)


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def web_server() -> Iterator[str]:
    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"<html>a console</html>"
            self.send_response(404)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def refusal(uri: str = "s3://clips/2024") -> str:
    began = time.monotonic()
    with pytest.raises(ServiceError) as raised:
        open_storage(uri).check()
    assert time.monotonic() - began < 6
    assert SECRET not in str(raised.value)
    return str(raised.value)


def test_an_unset_endpoint_is_named() -> None:
    assert "TRAINYARD_S3_ENDPOINT is not set" in refusal()


def test_every_problem_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINYARD_S3_SECRET_KEY", SECRET)
    monkeypatch.setenv("TRAINYARD_S3_ENDPOINT", "minio:9000")
    message = refusal()
    assert "'minio:9000' is not of the form http://host:port" in message
    assert "TRAINYARD_S3_SECRET_KEY is set but TRAINYARD_S3_ACCESS_KEY is not" in message


def test_credentials_in_the_endpoint_are_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRAINYARD_S3_ENDPOINT", f"http://me:{SECRET}@minio:9000")
    assert "TRAINYARD_S3_ENDPOINT holds credentials" in refusal()


@pytest.mark.usefixtures("credentials")
def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("TRAINYARD_S3_ENDPOINT", endpoint)
        message = refusal()
    assert f"{endpoint} cannot be reached" in message
    assert "Connection refused" in message


@pytest.mark.usefixtures("credentials")
def test_a_server_that_never_answers(silent_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINYARD_S3_ENDPOINT", silent_server)
    assert f"{silent_server} cannot be reached" in refusal()


@pytest.mark.usefixtures("credentials")
def test_a_server_that_is_no_object_store(web_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINYARD_S3_ENDPOINT", web_server)
    assert "not as an S3 object store" in refusal()


@pytest.mark.usefixtures("credentials")
def test_hosts_and_buckets_that_cannot_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINYARD_S3_ENDPOINT", "http://minio:99999")
    assert "TRAINYARD_S3_ENDPOINT names no server that can exist" in refusal()
    monkeypatch.setenv("TRAINYARD_S3_ENDPOINT", "http://minio:9000")
    for uri in ("s3:///prefix", "s3://No_Such_Name!/prefix"):
        with pytest.raises(InputError, match="expected s3://bucket/prefix"):
            open_storage(uri)


@pytest.mark.parametrize(
    "place",
    [
        "s3://me:hidden-word@bucket/photos",
        "s3://me:hidden/word@bucket",
        "http://me:hidden-word@host/photos",
        "S3://hidden-word@bucket",
    ],
)
def test_credentials_in_a_place_are_refused_and_not_repeated(place: str) -> None:
    with pytest.raises(InputError, match="TRAINYARD_S3_SECRET_KEY") as caught:
        open_storage(place)
    assert "hidden" not in str(caught.value)
    with pytest.raises(InputError, match="the address holds credentials"):
        read_file(f"{place}/groups.csv")
    settings = AnnotationSyncSettings(annotations=place, images=place)
    told = [str(problem) for problem in unreachable(settings)]
    assert [line.partition(":")[0] for line in told] == ["annotations", "images"]
    assert not any("hidden" in line for line in told)


def test_an_at_sign_in_a_name_is_no_credential(tmp_path: Path) -> None:
    (tmp_path / "me:a@b").mkdir()
    assert list(open_storage(str(tmp_path / "me:a@b")).items()) == []
    with pytest.raises(ServiceError, match="TRAINYARD_S3_ENDPOINT is not set"):
        open_storage("s3://bucket/photos@2024")
