"""Fixtures that every test may use: sample data and real servers."""

import os
import signal
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from kubernetes_cluster import Cluster, ClusterAbsentError, running_cluster
from mongodb_server import MongodbAbsentError, client, running_mongodb, with_database
from postgres_server import PostgresAbsentError, new_database, running_postgres
from servers import MinioAbsentError, S3Server, absent, running_minio
from triton_server import TritonAbsentError, TritonServer, running_triton

with suppress(ImportError):  # TensorFlow and then PyTorch in one process end it, unless:
    import triton

ROOT = Path(__file__).resolve().parent.parent

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what runs in the background so, and the programs under test would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real sample data: beside the repository, or named in the environment."""
    folder = Path(os.environ.get("TRAINYARD_SHARED_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no sample data in {folder}; set TRAINYARD_SHARED_DATA to its folder")
    return folder


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real MinIO: the one that TRAINYARD_TEST_S3_… names, or one started here.

    Skipped where there is none; failed instead where TRAINYARD_REQUIRE_SERVICES=1.
    """
    if endpoint := os.environ.get("TRAINYARD_TEST_S3_ENDPOINT"):
        keys = (os.environ[f"TRAINYARD_TEST_S3_{name}_KEY"] for name in ("ACCESS", "SECRET"))
        yield S3Server(endpoint, *keys)
        return
    try:
        with running_minio(tmp_path_factory.mktemp("minio")) as server:
            yield server
    except MinioAbsentError as error:
        absent(str(error))


@pytest.fixture
def bucket(minio: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a new, empty bucket; the environment gives the code under test access."""
    from minio.deleteobjects import DeleteObject

    for name, value in minio.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("TRAINYARD_S3_REGION", raising=False)
    client, name = minio.client(), f"test-{uuid.uuid4().hex[:12]}"
    client.make_bucket(name)
    yield name
    doomed = (DeleteObject(o.object_name) for o in client.list_objects(name, recursive=True))
    assert not list(client.remove_objects(name, doomed))
    client.remove_bucket(name)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a real PostgreSQL: TRAINYARD_TEST_POSTGRES_DSN, or of one started here.

    Skipped where there is none; failed instead where TRAINYARD_REQUIRE_SERVICES=1.
    """
    if url := os.environ.get("TRAINYARD_TEST_POSTGRES_DSN"):
        yield url
        return
    try:
        with running_postgres() as url:
            yield url
    except PostgresAbsentError as error:
        absent(str(error))


@pytest.fixture
def database(postgres: str) -> Iterator[str]:
    """The URL of a new, empty PostgreSQL database, dropped after the test."""
    with new_database(postgres) as url:
        yield url


@pytest.fixture(scope="session")
def mongodb() -> Iterator[str]:
    """The URI of a real MongoDB: TRAINYARD_TEST_MONGODB_URI, or of a FerretDB started here.

    Skipped where there is none; failed instead where TRAINYARD_REQUIRE_SERVICES=1.
    """
    if uri := os.environ.get("TRAINYARD_TEST_MONGODB_URI"):
        yield uri
        return
    try:
        with running_mongodb() as uri:
            yield uri
    except MongodbAbsentError as error:
        absent(str(error))


@pytest.fixture
def mongo_database(mongodb: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a new, empty database; the environment gives the code under test access."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    monkeypatch.setenv("TRAINYARD_MONGODB_URI", with_database(mongodb, name))
    yield name
    with client(mongodb) as connection:
        connection.drop_database(name)


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """A real tritonserver with an empty repository.

    Skipped where there is none; failed instead where TRAINYARD_REQUIRE_SERVICES=1.
    """
    try:
        with running_triton(tmp_path_factory.mktemp("triton")) as server:
            yield server
    except TritonAbsentError as error:
        absent(str(error))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A real Kubernetes API with a node of four GPUs that runs pods as processes.

    Skipped where it cannot run; failed instead where TRAINYARD_REQUIRE_SERVICES=1.
    """
    try:
        with running_cluster(tmp_path_factory.mktemp("cluster")) as running:
            yield running
    except ClusterAbsentError as error:
        absent(str(error))


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A new namespace of the cluster; all that runs in it ends with the test."""
    name = cluster.namespace()
    yield name
    cluster.delete_namespace(name)


@pytest.fixture
def small_volume(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with 24 MB; skipped where mounting is not permitted."""
    folder = tmp_path / "volume"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs privileges that this user lacks")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
