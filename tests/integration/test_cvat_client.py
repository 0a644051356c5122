"""The client of CVAT against `cvat_server`, which speaks the recorded shapes of server API 2.x.

No live CVAT takes part: none can be started where these tests run.
"""

import io
import random
import signal
import socket
import time
import zipfile

import pytest
from cvat_server import PASSWORD, TOKEN, running_cvat
from PIL import Image
from proxy import running_proxy

from components.core.cvat import Cvat, Endpoint, NotFoundError
from components.core.cvat.patience import Patience
from components.core.errors import InputError, ServiceError, StoppedError

QUICK = Patience(
    retries=3,
    first_seconds=0.01,
    longest_seconds=0.02,
    longest_asked_seconds=2.0,
    connect_seconds=2.0,
    read_seconds=2.0,
    poll_seconds=0.01,
    background_seconds=5.0,
)

BOX = {"type": "rectangle", "points": [1.0, 2.0, 3.0, 4.0], "frame": 0}
FRAMES = [("a.png", 40, 30), ("b.png", 44, 33)]


@pytest.fixture
def share(tmp_path):
    folder = tmp_path / "share"
    for position, name in enumerate(("field/c.png", "field/a.png", "field/b.png")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20 + position, 10)).save(path)
    return folder


@pytest.fixture
def server(share):
    with running_cvat(share) as running:
        yield running


@pytest.fixture
def cvat(server, monkeypatch):
    for name in ("TOKEN", "USERNAME", "PASSWORD", "ORGANIZATION"):
        monkeypatch.delenv(f"TRAINYARD_CVAT_{name}", raising=False)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return Cvat.from_environment(QUICK)


def with_token(server, organization=""):
    return Cvat(Endpoint(server.url, token=TOKEN, organization=organization), QUICK)


# Logging in


def test_a_password_logs_in_once_and_may_change_things(server, cvat):
    assert cvat.check() == "2.31.0"
    task = server.add_task("t", ["weed"], FRAMES)
    assert cvat.delete_task(str(task))
    assert not server.tasks
    assert server.count("POST", "/auth/login") == 1


def test_a_token_needs_no_login(server):
    server.add_task("t", ["weed"], FRAMES)
    cvat = with_token(server)
    cvat.check()
    assert len(cvat.tasks()) == 1
    assert server.count(path="/auth/login") == 0


def test_a_session_that_runs_out_is_renewed(server, cvat):
    server.add_task("t", ["weed"], FRAMES)
    cvat.tasks()
    server.sessions.clear()
    assert len(cvat.tasks()) == 1
    assert server.count("POST", "/auth/login") == 2


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ({"username": "annotator", "password": "wrong-one"}, "does not let 'annotator' in"),
        ({"token": "wrong-one"}, "correct TRAINYARD_CVAT_TOKEN"),
    ],
)
def test_wrong_credentials_are_told_at_once_and_not_quoted(server, endpoint, said):
    with pytest.raises(ServiceError, match=said) as caught:
        Cvat(Endpoint(server.url, **endpoint), QUICK).check()
    assert "wrong-one" not in str(caught.value)
    assert len(server.requests) == 2


def test_an_organization_goes_with_every_request(server):
    server.organization = "farm"
    server.add_task("t", ["weed"], FRAMES)
    with_token(server, "farm").tasks()
    assert server.asked("GET", "/tasks")[0].headers["X-Organization"] == "farm"
    with pytest.raises(NotFoundError, match="in the organization 'barn'"):
        with_token(server, "barn").tasks()


def test_nothing_there_is_told(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        cvat = Cvat(Endpoint(f"http://127.0.0.1:{taken.getsockname()[1]}", token="t"), QUICK)
        with pytest.raises(
            ServiceError, match=r"cannot be reached \(.*refused.*TRAINYARD_CVAT_URL"
        ):
            cvat.check()


def test_a_silent_server_is_not_waited_for_endlessly():
    patience = Patience(retries=1, first_seconds=0.01, connect_seconds=0.3, read_seconds=0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(ServiceError, match="timed out"):
            Cvat(Endpoint(url, token="t"), patience).tasks()
        assert time.monotonic() - began < 5


def test_another_server_and_an_old_one_are_told(server, cvat):
    server.version = "1.7.0"
    with pytest.raises(ServiceError, match=r"not as a CVAT server of version 2 \(it is version 1"):
        cvat.check()
    server.fail(200, path="/about")  # a page, as of a frontend
    with pytest.raises(ServiceError, match="something else than JSON"):
        cvat.check()
    server.fail(404, path="/about")
    with pytest.raises(ServiceError, match="it has no /api/server/about"):
        cvat.check()
    server.fail(301, path="/about", headers={"Location": "https://cvat.example.org/"})
    with pytest.raises(ServiceError, match=r"sends us elsewhere \(to https://cvat.example.org/\)"):
        cvat.check()


def test_whether_a_server_is_there_is_told_soon(server):
    patient = Patience(first_seconds=0.01)
    server.fail(503, times=99, path="/about")
    with pytest.raises(ServiceError, match="keeps failing with status 503"):
        Cvat(Endpoint(server.url, token=TOKEN), patient).check()
    assert server.count("GET", "/about") == 2


# Patience


def test_logging_in_is_repeated(server, cvat):
    server.fail(502, times=2, path="/auth/login")
    server.fail(0, path="/auth/login")
    assert cvat.tasks() == []
    assert server.count("POST", "/auth/login") == 4


def test_files_whose_transfer_is_cut_short_are_got_again(server, tmp_path):
    noise = random.Random(0).randbytes(50_000)
    task = server.add_task("t", ["weed"], [("a.png", 40, 30)], images={0: noise})
    with running_proxy(server.url.removeprefix("http://")) as proxy:
        cvat = Cvat(Endpoint(f"http://{proxy.address}", token=TOKEN), QUICK)
        found = cvat.task(str(task))
        proxy.cuts = [20_000]
        (path,) = cvat.download_images(found, tmp_path / "images").values()
        assert path.read_bytes() == noise
        assert server.count("GET", "/data") == 3  # with its meta
        proxy.cuts = [20_000]
        archive = cvat.export(found.id, tmp_path / "t.zip", images=True)
        assert zipfile.ZipFile(archive).read("images/0") == noise
        assert server.count("GET", "/download") == 2
        proxy.cuts = [20_000] * 3
        with pytest.raises(ServiceError, match="cannot be reached"):
            cvat.export(found.id, tmp_path / "never.zip", images=True)
    assert sorted(path.name for path in tmp_path.glob("*.zip")) == ["t.zip"]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 0])
def test_reading_is_repeated(server, cvat, status):
    server.add_task("t", ["weed"], FRAMES)
    server.fail(status, times=3, path="/api/tasks")
    assert len(cvat.tasks()) == 1
    assert server.count("GET", "/api/tasks") == 4


def test_the_wait_that_the_server_asks_for_is_kept(server, cvat):
    cvat.check()
    server.fail(429, path="/api/tasks", headers={"Retry-After": "1"})
    began = time.monotonic()
    cvat.tasks()
    assert 1 <= time.monotonic() - began < 3
    server.fail(429, path="/api/tasks", headers={"Retry-After": "3600"})
    began = time.monotonic()
    with pytest.raises(ServiceError, match="429"):
        cvat.tasks()
    assert time.monotonic() - began < 1


def test_what_keeps_failing_is_told_after_a_few_attempts(server, cvat):
    server.fail(503, times=99, path="/api/tasks")
    with pytest.raises(ServiceError, match=r"listing the tasks: .* keeps failing with status 503"):
        cvat.tasks()
    assert server.count("GET", "/api/tasks") == QUICK.retries + 1


@pytest.mark.parametrize("status", [500, 0])
def test_adding_is_not_repeated_when_it_may_have_been_done(server, cvat, status):
    task = server.add_task("t", ["weed"], FRAMES)
    label = cvat.task(str(task)).labels[0]["id"]
    server.fail(status, method="PATCH", done=True)
    with pytest.raises(ServiceError, match="may have been done nonetheless: look before you"):
        cvat.upload(str(task), [{**BOX, "label_id": label}])
    assert server.count("PATCH") == 1
    assert len(server.annotations(task)["shapes"]) == 1
    # Replacing does no harm twice, so it is repeated.
    server.fail(status, method="PUT", done=True)
    cvat.upload(str(task), [{**BOX, "label_id": label}], replace=True)
    assert server.count("PUT") == 2
    assert len(server.annotations(task)["shapes"]) == 1


def test_adding_is_repeated_when_it_was_refused_as_too_much(server, cvat):
    task = server.add_task("t", ["weed"], FRAMES)
    label = cvat.task(str(task)).labels[0]["id"]
    server.fail(429, times=2, method="PATCH")
    cvat.upload(str(task), [{**BOX, "label_id": label}])
    assert server.count("PATCH") == 3
    assert len(server.annotations(task)["shapes"]) == 1


# Reading


def test_tasks_come_from_all_pages_and_are_chosen(server, cvat):
    server.page_limit = 3
    for number in range(8):
        status = "completed" if number % 3 == 0 else "annotation"
        server.add_task(f"Field_{number}", ["weed"], FRAMES, status=status)
    server.add_task("Gt", ["weed"], FRAMES, status="validation", job_states=["completed"])
    everything = cvat.tasks()
    assert [info.name for info in everything] == [*(f"Field_{n}" for n in range(8)), "Gt"]
    assert [r.query["page"] for r in server.asked("GET", "/tasks")] == ["1", "2", "3"]
    completed = [info.name for info in cvat.tasks(status="completed")]
    assert completed == ["Field_0", "Field_3", "Field_6", "Gt"]
    assert [info.name for info in cvat.tasks(status="validation")] == ["Gt"]
    ids = [everything[1].id, everything[8].id]
    assert [info.name for info in cvat.tasks(ids=ids)] == ["Field_1", "Gt"]
    assert [info.name for info in cvat.tasks(names=["gt", "*_[12]"])] == ["Field_1", "Field_2"]


def test_a_task_comes_with_everything_in_it(server, cvat):
    tracked = [{**BOX, "outside": False}, {**BOX, "frame": 2, "outside": True}]
    task = server.add_task(
        "Field 1",
        ["weed", {"name": "crop", "attributes": [{"name": "age"}]}],
        [("a/1.png", 40, 30), ("a/2.png", 44, 33), ("b/1.png", 48, 36)],
        shapes=[{**BOX, "label": "weed"}, {**BOX, "label": "crop", "frame": 2}],
        tracks=[{"label": "weed", "frame": 0, "shapes": tracked}],
        tags=[{"label": "crop", "frame": 1}],
        status="completed",
        deleted_frames=[1],
        updated="2024-06-01T00:00:00Z",
    )
    found = cvat.task(str(task))
    assert (found.id, found.name, found.status) == (str(task), "Field 1", "completed")
    assert found.updated == "2024-06-01T00:00:00Z"
    assert found.created
    assert [label["name"] for label in found.labels] == ["weed", "crop"]
    assert found.labels[1]["attributes"][0]["name"] == "age"
    names = [(frame.name, frame.width, frame.height) for frame in found.frames]
    assert names == [("a/1.png", 40, 30), ("a/2.png", 44, 33), ("b/1.png", 48, 36)]
    assert found.deleted == {1}
    assert not found.video
    assert [shape["frame"] for shape in found.shapes] == [0, 2]
    assert found.shapes[1]["label_id"] == found.labels[1]["id"]
    assert len(found.tracks[0]["shapes"]) == 2
    assert len(found.tags) == 1


def test_a_task_of_an_old_server_is_read_and_completed(server, cvat):
    server.old = True
    task = server.add_task("t", ["weed", "crop"], FRAMES, shapes=[{**BOX, "label": "crop"}], jobs=2)
    found = cvat.task(str(task))
    assert [label["name"] for label in found.labels] == ["weed", "crop"]
    assert found.shapes[0]["label_id"] == found.labels[1]["id"]
    assert cvat.set_completed(str(task)) == 2
    assert [r.json for r in server.asked("PATCH", "/jobs")] == [{"status": "completed"}] * 2
    made = cvat.create_task("new", ["weed"], ["field/a.png"])
    assert len(cvat.task(made).frames) == 1
    with pytest.raises(ServiceError):
        cvat.export(str(task), server.share / "never.zip")


def test_tasks_that_cannot_be_read_are_told(server, cvat):
    with pytest.raises(NotFoundError, match="reading task 99"):
        cvat.task("99")
    with pytest.raises(InputError, match="'Field 1' is no number of a CVAT task"):
        cvat.task("Field 1")
    task = server.add_task("t", ["weed"], FRAMES)
    server.forbidden.add(task)
    with pytest.raises(ServiceError, match="does not allow it to this user"):
        cvat.task(str(task))
    server.forbidden.clear()
    empty = server.new_task({"name": "empty", "labels": ["weed"]})["id"]
    with pytest.raises(InputError, match="has no images"):
        cvat.task(str(empty))


# Making and completing


def test_a_task_is_made_of_files_on_the_share_in_their_order(server, cvat):
    files = ["field/c.png", "field/a.png", "field/b.png"]
    made = cvat.create_task("new", ["weed", "crop"], files, scores=True)
    found = cvat.task(made)
    assert [frame.name for frame in found.frames] == files
    assert [frame.width for frame in found.frames] == [20, 21, 22]
    assert all(label["attributes"][0]["name"] == "score" for label in found.labels)
    assert server.count("POST", "/data") == 1
    assert server.count("GET", "/requests/") == 2


def test_files_are_named_as_the_server_wants_them(server, cvat):
    cvat.create_task("new", ["weed"], ["field/a.png"])
    cvat.create_task("new", ["weed"], ["field/a.png"], where="cloud", cloud_storage=3)
    share, cloud = (request.json for request in server.asked("POST", "/data"))
    assert share["server_files"] == cloud["server_files"] == ["field/a.png"]
    assert share["copy_data"] is False
    assert "cloud_storage_id" not in share
    assert cloud["cloud_storage_id"] == 3


def test_a_task_is_made_of_uploaded_files_in_their_order(server, cvat, share, monkeypatch):
    files = [share / "field" / name for name in ("c.png", "a.png", "b.png")]
    found = cvat.task(cvat.create_task("new", ["weed"], files, where="upload"))
    assert [(f.name, f.width) for f in found.frames] == [
        ("c.png", 20),
        ("a.png", 21),
        ("b.png", 22),
    ]
    # Large files go in pieces.
    monkeypatch.setattr("components.core.cvat.creation.UPLOAD_BYTES", 10)
    monkeypatch.setattr("cvat_sdk.core.uploading.TUS_CHUNK_SIZE", 30)
    found = cvat.task(cvat.create_task("pieces", ["weed"], files, where="upload"))
    assert [(f.name, f.width) for f in found.frames] == [
        ("c.png", 20),
        ("a.png", 21),
        ("b.png", 22),
    ]
    assert server.count("PATCH", "/data/") > 3


def test_a_task_that_cannot_be_filled_is_removed_again(server, cvat):
    with pytest.raises(
        ServiceError, match=r"FileNotFoundError.*field/no\.png; are the files there"
    ):
        cvat.create_task("new", ["weed"], ["field/no.png"])
    assert not server.tasks
    server.failure = ""
    server.fail(403, path="/data")
    with pytest.raises(ServiceError, match="does not allow"):
        cvat.create_task("new", ["weed"], ["field/a.png"])
    assert not server.tasks


def test_a_task_that_is_never_done_is_not_waited_for_endlessly(server, cvat):
    server.stuck = True
    patient = Patience(**{**vars(QUICK), "background_seconds": 0.3})
    with pytest.raises(ServiceError, match=r"not done after 0\.3 s \(it is started\)"):
        Cvat.from_environment(patient).create_task("new", ["weed"], ["field/a.png"])
    assert not server.tasks


def test_a_task_is_removed_again_when_we_are_stopped(server, cvat):
    def stop(number, frame):
        assert server.tasks
        raise StoppedError("stopped")

    server.stuck = True
    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(StoppedError):
            cvat.create_task("new", ["weed"], ["field/a.png"])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert not server.tasks


def test_a_task_that_cannot_be_removed_either_is_named(server, cvat):
    server.failure = "disk full"
    server.fail(500, times=99, method="DELETE")
    with pytest.raises(ServiceError, match=r"failed: disk full; .*task \d+ was left behind"):
        cvat.create_task("new", ["weed"], ["field/a.png"])


def test_everything_wrong_with_a_task_is_told_before_it_is_made(server, cvat, share, tmp_path):
    (tmp_path / "a.png").write_bytes(b"other")
    link = tmp_path / "link.png"
    link.symlink_to(share / "field" / "c.png")
    files = [share / "field" / "a.png", tmp_path / "a.png", tmp_path / "no.png", link]
    with pytest.raises(InputError) as caught:
        cvat.create_task(" ", ["weed", "weed"], files, where="upload", cloud_storage=3)
    told = str(caught.value)
    for said in (
        "of 1 to 256 characters",
        "label 'weed' is there twice",
        "no.png is no file",
        "2 files are called a.png",
        "link to a file of another name (c.png)",
        "cloud_storage 3 does not go with where 'upload'",
    ):
        assert said in told
    with pytest.raises(InputError, match=r"'\.\./secret' is no path relative to the share"):
        cvat.create_task("t", ["weed"], ["../secret"])
    assert not server.requests


def test_all_jobs_are_completed(server, cvat):
    task = server.add_task("t", ["weed"], FRAMES, jobs=2)
    assert cvat.set_completed(str(task)) == 2
    assert server.tasks[task]["status"] == "completed"
    sent = [request.json for request in server.asked("PATCH", "/jobs/")]
    assert sent == [{"stage": "acceptance", "state": "completed"}] * 2
    assert cvat.set_completed(str(task)) == 0
    with pytest.raises(NotFoundError):
        cvat.set_completed("99")


def test_deleting_tells_whether_there_was_one(server, cvat):
    task = server.add_task("t", ["weed"], FRAMES)
    other = server.add_task("t", ["weed"], FRAMES)
    server.fail(502, method="DELETE", done=True)  # done, but the answer was lost
    cvat.delete_task(str(task))
    assert list(server.tasks) == [other]
    assert cvat.delete_task(str(task)) is False


# Annotations


def test_a_thousand_boxes_go_in_one_request(server, cvat):
    task = server.add_task("t", ["weed"], FRAMES)
    label = cvat.labels(str(task))[0]["id"]
    boxes = [{**BOX, "label_id": label, "frame": n % 2} for n in range(1000)]
    tags = [{"label_id": label, "frame": 1}]
    made = cvat.upload(str(task), boxes, tags)
    assert server.count("PATCH", "/annotations") == 1
    assert server.count("PUT") == 0
    assert len(server.annotations(task)["shapes"]) == 1000
    assert [shape["id"] for shape in made["shapes"]] == [
        shape["id"] for shape in server.annotations(task)["shapes"]
    ]
    assert len(made["tags"]) == 1


def test_annotations_are_replaced_changed_and_removed(server, cvat):
    task = server.add_task("t", ["weed", "crop"], FRAMES, shapes=[{**BOX, "label": "weed"}] * 3)
    before = cvat.task(str(task))
    weed, crop = (label["id"] for label in before.labels)
    changed = {**before.shapes[0], "label_id": crop, "source": "manual"}
    made = cvat.update(str(task), [changed])
    assert made["shapes"][0]["id"] != changed["id"]
    cvat.remove(str(task), [before.shapes[1]])
    left = cvat.task(str(task)).shapes
    assert sorted(shape["label_id"] for shape in left) == sorted([weed, crop])
    cvat.upload(str(task), [{**BOX, "label_id": weed}], replace=True)
    assert len(cvat.task(str(task)).shapes) == 1
    with pytest.raises(InputError, match="1 have no id"):
        cvat.remove(str(task), [{**BOX, "label_id": weed}])


def test_annotations_that_are_not_taken_are_told(server, cvat):
    task = server.add_task("t", ["weed"], FRAMES)
    label = cvat.labels(str(task))[0]["id"]
    with pytest.raises(ServiceError, match="label_id `99` is invalid"):
        cvat.upload(str(task), [{**BOX, "label_id": 99}])
    beyond = [{**BOX, "label_id": label}, {**BOX, "label_id": label, "frame": 2}]
    with pytest.raises(ServiceError, match="has taken 1 of 2 shapes; the frames of the others"):
        cvat.upload(str(task), beyond)
    with pytest.raises(InputError, match="written as JSON"):
        cvat.upload(str(task), [{**BOX, "label_id": label, "points": [float("nan")] * 4}])


# Files


def test_images_are_downloaded_and_resumed(server, cvat, tmp_path):
    jpeg = io.BytesIO()
    Image.new("RGB", (8, 6)).save(jpeg, "JPEG")
    task = server.add_task(
        "t",
        ["weed"],
        [("x/a.png", 40, 30), ("x/b.jpg", 8, 6), ("../c.png", 48, 36), ("d.png", 4, 4)],
        images={1: jpeg.getvalue()},
        deleted_frames=[3],
    )
    found, folder = cvat.task(str(task)), tmp_path / "images"
    told = []
    paths = cvat.download_images(found, folder, lambda *counts: told.append(counts))
    names = {at: path.relative_to(folder).as_posix() for at, path in paths.items()}
    assert names == {0: "x/a.png", 1: "x/b.jpg", 2: "c.png"}
    assert paths[1].read_bytes() == jpeg.getvalue()
    assert Image.open(paths[2]).size == (48, 36)
    assert told[-1] == (3, 3)
    assert {r.query["quality"] for r in server.asked("GET", "/data") if r.query} == {"original"}
    paths[2].unlink()
    asked = server.count("GET", f"/tasks/{task}/data")
    assert cvat.download_images(found, folder) == paths
    assert server.count("GET", f"/tasks/{task}/data") == asked + 1
    assert sorted(p.name for p in folder.rglob("*") if p.is_file()) == ["a.png", "b.jpg", "c.png"]


def test_frames_of_a_video_are_what_their_names_say(server, cvat, tmp_path):
    jpeg = io.BytesIO()
    Image.new("RGB", (64, 48)).save(jpeg, "JPEG")
    task = server.add_task("t", ["weed"], [("v.mp4", 64, 48)], video=2, images={0: jpeg.getvalue()})
    paths = cvat.download_images(cvat.task(str(task)), tmp_path)
    assert [path.name for path in paths.values()] == ["frame_000000.png", "frame_000001.png"]
    assert {Image.open(path).format for path in paths.values()} == {"PNG"}


def test_a_failed_download_leaves_no_file(server, cvat, tmp_path):
    found = cvat.task(str(server.add_task("t", ["weed"], FRAMES)))
    server.fail(500, times=99, path="/data")
    with pytest.raises(ServiceError, match="getting image"):
        cvat.download_images(found, tmp_path / "images")
    assert not [path for path in tmp_path.rglob("*.png") if "share" not in path.parts]


def test_exports_and_backups_are_whole_zip_files(server, cvat, tmp_path):
    task = str(server.add_task("t", ["weed"], FRAMES))
    exported = cvat.export(task, tmp_path / "out" / "t.zip")
    assert zipfile.ZipFile(exported).namelist() == ["annotations.xml"]
    assert zipfile.ZipFile(cvat.backup(task, tmp_path / "b.zip")).namelist() == ["task.json"]
    asked = server.asked("POST", "/export")[0]
    assert asked.query == {"format": "CVAT for images 1.1", "save_images": "false"}
    with pytest.raises(ServiceError, match="Unknown format"):
        cvat.export(task, tmp_path / "none.zip", "Other 1.0")
    server.fail(200, path="/dataset/download")  # a page instead of the file
    with pytest.raises(ServiceError, match="no ZIP file"):
        cvat.export(task, tmp_path / "none.zip")
    server.failure = "no space on the server"
    with pytest.raises(ServiceError, match="no space on the server"):
        cvat.backup(task, tmp_path / "none.zip")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.zip", "out", "share"]


def test_no_message_holds_the_password(server, cvat):
    server.failure = f"cannot open with {PASSWORD}"
    with pytest.raises(ServiceError) as caught:
        cvat.create_task("new", ["weed"], ["field/a.png"])
    assert "cannot open with" in str(caught.value)
    assert PASSWORD not in str(caught.value)
