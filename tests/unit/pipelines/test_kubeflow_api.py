"""The client of Kubeflow over HTTP: paging, patience, and a message for everything that fails."""

import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kubeflow_server import LOGIN_PAGE, running_kubeflow
from kubeflow_state import Fault, KubeflowServer

from components.core.errors import InputError, ServiceError, SettingsError, TrainyardError
from pipelines.backends import _kubeflow_api as api_module
from pipelines.backends._kubeflow_api import Kubeflow
from pipelines.backends._kubeflow_refusals import AbsentError

TOKEN = "eyJ-a-token-nobody-may-see"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[KubeflowServer]:
    for name in ("URL", "TOKEN", "TOKEN_FILE", "CA", "ROOT"):
        monkeypatch.delenv(f"TRAINYARD_KUBEFLOW_{name}", raising=False)
    monkeypatch.setattr(api_module, "FIRST_PAUSE", 0.01)
    with running_kubeflow() as running:
        monkeypatch.setenv("TRAINYARD_KUBEFLOW_URL", running.url)
        yield running


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience for tests: the rule is the same, the times are short."""
    monkeypatch.setattr(api_module, "PATIENCE_SECONDS", 1.2)
    monkeypatch.setattr(api_module, "TIMEOUT", (0.5, 0.4))


def experiments(api: Kubeflow) -> list[str]:
    listed = api.pages(
        "list the experiments", api.experiments.experiment_service_list_experiments, "experiments"
    )
    return [str(found["display_name"]) for found in listed]


def create(api: Kubeflow, name: str, **options: Callable[[], None]) -> None:
    body = {"display_name": name}
    api.call(
        "create the experiment",
        api.experiments.experiment_service_create_experiment,
        body,
        **options,  # type: ignore[arg-type]
    )


def test_lists_are_read_page_by_page(server: KubeflowServer) -> None:
    api = Kubeflow.connect()
    for number in range(7):
        create(api, f"e{number}")
    server.largest_page = 3
    assert experiments(api) == [f"e{number}" for number in range(7)]
    tokens = [a.query.get("page_token") for a in server.asked if "page_size" in a.query]
    assert tokens == [None, "3", "6"]


def test_overload_is_waited_out(server: KubeflowServer) -> None:
    api = Kubeflow.connect()
    for status, headers in ((429, {"Retry-After": "1"}), (503, {})):
        server.faults = [Fault("/apis/v2beta1/exp", status=status, headers=headers)]
        assert experiments(api) == []


def test_a_slow_answer_is_asked_for_again(server: KubeflowServer, hurried: None) -> None:
    api = Kubeflow.connect()
    server.faults = [Fault("/apis/v2beta1/experiments", delay=0.8)]
    assert experiments(api) == []


def test_patience_ends_with_what_is_wrong(server: KubeflowServer, hurried: None) -> None:
    api = Kubeflow.connect()
    server.faults = [Fault("/apis/v2beta1/experiments", status=503, times=99)]
    with pytest.raises(ServiceError, match=r"list the experiments: .*overloaded.*503.*try again"):
        experiments(api)
    server.faults = [Fault("/apis/v2beta1/experiments", delay=0.7, times=99)]
    with pytest.raises(ServiceError, match=r"does not answer .*VPN"):
        experiments(api)


def test_an_internal_error_is_told_soon(server: KubeflowServer) -> None:
    api = Kubeflow.connect()
    body = '{"code":13,"message":"InternalServerError: database is locked"}'
    server.faults = [Fault("/apis/v2beta1/experiments", status=500, body=body, times=2)]
    assert experiments(api) == []  # the third attempt
    server.faults = [Fault("/apis/v2beta1/experiments", status=500, body=body, times=99)]
    with pytest.raises(ServiceError, match=r"500: InternalServerError: database is locked"):
        create(api, "never", made=lambda: None)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, "", r"does not accept the token, which may have expired.*create token"),
        (403, '{"code":7,"message":"User \'a@b\' is not authorized: list experiments"}',
         r"User 'a@b' is not authorized.*--namespace.*contributor"),
        (403, "RBAC: access denied", r"RBAC: access denied.*contributor"),
        (404, '{"code":5,"message":"Not Found","details":[]}', r"no such part of the API"),
        (404, "<html>nginx</html>", r"no such part of the API; check TRAINYARD_KUBEFLOW_URL"),
        (302, "", "login page"),
        (200, LOGIN_PAGE, r"login page .*TRAINYARD_KUBEFLOW_TOKEN"),
        (200, "pong", "login page or a website, not the API"),
        (409, '{"code":6,"message":"Already exist error: x"}', r"its name is taken .*: Already"),
        (418, "", "answers 418"),
    ],
)  # fmt: skip
def test_every_refusal_says_what_to_do(
    server: KubeflowServer, monkeypatch: pytest.MonkeyPatch, status: int, body: str, expected: str
) -> None:
    monkeypatch.setenv("TRAINYARD_KUBEFLOW_TOKEN", TOKEN)
    api = Kubeflow.connect()
    headers = {"Content-Type": "text/html"} if "<" in body else {}
    if status == 302:
        headers["Location"] = f"{server.url}/apis/v2beta1/healthz"  # not to be followed
    server.faults = [Fault("/apis/v2beta1/exp", status=status, body=body, headers=headers)]
    with pytest.raises(ServiceError, match=expected) as caught:
        experiments(api)
    assert TOKEN not in str(caught.value)
    assert server.url in str(caught.value)


def test_refused_content_is_told_in_the_servers_words(server: KubeflowServer) -> None:
    api = Kubeflow.connect()
    with pytest.raises(SettingsError, match='unknown field "nam"'):
        api.call("x", api.experiments.experiment_service_create_experiment, {"nam": "x"})
    with pytest.raises(AbsentError, match=r"find the run: ResourceNotFoundError: Run nope"):
        api.call("find the run", api.runs.run_service_get_run, "nope")


def test_a_renewed_token_is_read_from_its_file(
    server: KubeflowServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    monkeypatch.setenv("TRAINYARD_KUBEFLOW_TOKEN_FILE", str(file))
    server.token = "first"
    api = Kubeflow.connect()
    server.token = "second"
    file.write_text("second\n")
    assert experiments(api) == []
    server.token = "third"
    with pytest.raises(ServiceError, match="may have expired"):
        experiments(api)
    file.unlink()
    with pytest.raises(ServiceError, match="TRAINYARD_KUBEFLOW_TOKEN_FILE: cannot read"):
        experiments(api)


def test_a_server_that_wants_a_token_and_gets_none(server: KubeflowServer) -> None:
    server.token = TOKEN
    with pytest.raises(ServiceError, match="wants a token; give one in TRAINYARD_KUBEFLOW_TOKEN"):
        Kubeflow.connect()


def test_old_servers_and_missing_namespaces_are_told_at_once(server: KubeflowServer) -> None:
    server.tag_name = "2.0.5"
    with pytest.raises(ServiceError, match=r"Kubeflow Pipelines 2\.0\.5; 2\.5 or newer"):
        Kubeflow.connect()
    server.tag_name = "unknown"
    server.multi_user = True
    with pytest.raises(InputError, match=r"many users.*--namespace"):
        Kubeflow.connect("")
    Kubeflow.connect("team-a")
    Kubeflow.connect()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"URL": ""}, ["TRAINYARD_KUBEFLOW_URL is not set"]),
        ({"URL": "kubeflow.example.org"}, ["is no http address"]),
        ({"URL": f"https://me:{TOKEN}@host/pipeline"}, ["it holds credentials"]),
        ({"URL": "ftp://host", "CA": "/nowhere/ca.pem", "TOKEN": "a b"},
         ["is no http address", "no file /nowhere/ca.pem", "a blank or a line break"]),
        ({"URL": "https://[", "TOKEN_FILE": "/nowhere/token"},
         ["it is no address", "/nowhere/token cannot be read"]),
    ],
)  # fmt: skip
def test_a_wrong_environment_is_told_whole(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: list[str]
) -> None:
    for name in ("TOKEN", "TOKEN_FILE", "CA"):
        monkeypatch.delenv(f"TRAINYARD_KUBEFLOW_{name}", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(f"TRAINYARD_KUBEFLOW_{name}", value)
    with pytest.raises(SettingsError) as caught:
        Kubeflow.connect()
    for text in expected:
        assert text in str(caught.value)
    assert len(caught.value.problems) == len(expected)
    assert TOKEN not in str(caught.value)


def test_addresses_copied_from_a_browser_work(
    server: KubeflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for end in ("/", "/#/runs", "/apis/v2beta1", "/apis/v2beta1/"):
        monkeypatch.setenv("TRAINYARD_KUBEFLOW_URL", server.url + end)
        assert Kubeflow.connect().address.url == server.url


def unreachable(monkeypatch: pytest.MonkeyPatch, url: str) -> str:
    monkeypatch.setenv("TRAINYARD_KUBEFLOW_URL", url)
    with pytest.raises(TrainyardError) as caught:
        Kubeflow.connect()
    assert caught.value.exit_code == 4
    return str(caught.value)


def test_bad_addresses_say_which_kind_of_bad(
    server: KubeflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        said = unreachable(monkeypatch, f"http://127.0.0.1:{port}")
    assert "nothing listens at" in said
    assert "port-forward" in said
    said = unreachable(monkeypatch, "http://kubeflow.invalid")
    assert "there is no host kubeflow.invalid" in said
    said = unreachable(monkeypatch, server.url.replace("http:", "https:"))
    assert "does not speak https" in said


def test_certificates_are_checked_with_the_given_ca(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "ca.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout",
         str(key), "-out", str(certificate), "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with running_kubeflow(context) as server:
        url = server.url.replace("http:", "https:").replace("127.0.0.1", "localhost")
        said = unreachable(monkeypatch, url)
        assert "not trusted" in said
        assert "TRAINYARD_KUBEFLOW_CA" in said
        for ca in (str(certificate), certificate.read_text()):
            monkeypatch.setenv("TRAINYARD_KUBEFLOW_CA", ca)
            assert experiments(Kubeflow.connect()) == []


def test_the_token_is_sent_to_no_other_place(
    server: KubeflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAINYARD_KUBEFLOW_TOKEN", TOKEN)
    with running_kubeflow() as elsewhere:
        location = {"Location": f"{elsewhere.url}/apis/v2beta1/healthz"}
        server.faults = [Fault("/apis/v2beta1/healthz", status=307, headers=location)]
        with pytest.raises(ServiceError, match="login page"):
            Kubeflow.connect()
        assert elsewhere.asked == []
