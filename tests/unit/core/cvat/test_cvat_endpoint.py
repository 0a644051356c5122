"""Which CVAT the environment names, what may be repeated, and what shapes become."""

import math

import pytest

from components.core.annotation_tasks import AnnotationTask, Frame, annotations_of
from components.core.cvat import Endpoint, NotFoundError, TaskInfo, drawings
from components.core.cvat.creation import label_specs
from components.core.cvat.rest import repeatable
from components.core.cvat.tasks import frames_of, info_of
from components.core.errors import InputError, ServiceError
from components.core.formats.shapes import Kind, Mask, Shape

URL, TOKEN = "TRAINYARD_CVAT_URL", "TRAINYARD_CVAT_TOKEN"
USERNAME, PASSWORD = "TRAINYARD_CVAT_USERNAME", "TRAINYARD_CVAT_PASSWORD"
ORGANIZATION = "TRAINYARD_CVAT_ORGANIZATION"


@pytest.fixture
def environment(monkeypatch):
    def given(**values):
        for name in (URL, TOKEN, USERNAME, PASSWORD, ORGANIZATION):
            monkeypatch.delenv(name, raising=False)
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return given


@pytest.mark.parametrize(
    "written",
    ["https://cvat.example.org", "https://cvat.example.org/", "https://cvat.example.org/api/"],
)
def test_an_address_is_taken_with_and_without_api(environment, written):
    environment(**{URL: written, TOKEN: "abc", ORGANIZATION: "farm"})
    endpoint = Endpoint.from_environment()
    assert endpoint.url == "https://cvat.example.org"
    assert (endpoint.token, endpoint.organization) == ("abc", "farm")


def test_everything_that_is_missing_is_told_at_once(environment):
    environment()
    with pytest.raises(ServiceError) as caught:
        Endpoint.from_environment()
    told = str(caught.value)
    assert all(name in told for name in (URL, TOKEN, USERNAME, PASSWORD))
    assert "http://cvat:8080" in told


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({URL: "http://cvat:8080", USERNAME: "me"}, f"{USERNAME} is set but {PASSWORD} is not"),
        ({URL: "http://cvat:8080", PASSWORD: "pssst"}, f"{PASSWORD} is set but {USERNAME} is not"),
        ({URL: "http://cvat:8080", TOKEN: "a", USERNAME: "me"}, "keep one way to log in"),
        ({URL: "cvat:8080", TOKEN: "a"}, "expected http://host:port"),
        ({URL: "http://cvat:8080/tasks?page=1", TOKEN: "a"}, "is not an address"),
        ({URL: "http://cvat:99999", TOKEN: "a"}, "cannot be read"),
        ({URL: "http://cvat:8080/api/v1/", TOKEN: "a"}, "CVAT 2 is needed"),
        ({URL: "http://me:pssst@cvat:8080", TOKEN: "a"}, "holds credentials"),
        ({URL: "http://cvat:8080", TOKEN: "a\u00e4b"}, "no HTTP header can"),
    ],
)
def test_what_is_malformed_is_told_without_secrets(environment, values, said):
    environment(**values)
    with pytest.raises(ServiceError) as caught:
        Endpoint.from_environment()
    assert said in str(caught.value)
    assert "pssst" not in str(caught.value)


def test_credentials_are_in_no_representation_and_no_message():
    endpoint = Endpoint("http://cvat", token="top-secret", username="me", password="pssst")
    assert "top-secret" not in repr(endpoint)
    assert "pssst" not in repr(endpoint)
    told = str(endpoint.refusal("reading", 400, b'{"detail": "top-secret and pssst are wrong"}'))
    assert "top-secret" not in told
    assert "pssst" not in told
    assert "are wrong" in told


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (400, b'{"labels": ["All label names must be unique"]}', "labels: All label names must be"),
        (400, b'["label_id `7` is invalid"]', "label_id `7` is invalid"),
        (403, b'{"detail": "Nope."}', "does not allow it to this user in the organization 'farm'"),
        (404, b'{"detail": "Not found."}', "no such thing in the organization 'farm' (Not found.)"),
        (413, b"<html>Too large</html>", "client_max_body_size"),
        (301, "to https://cvat/", "sends us elsewhere (to https://cvat/)"),
        (502, b"<html>Bad Gateway</html>", "keeps failing with status 502; see its own log"),
    ],
)
def test_refusals_say_what_to_do(status, body, said):
    error = Endpoint("http://cvat", token="t", organization="farm").refusal("doing", status, body)
    assert said in str(error)
    assert "<html>" not in str(error)
    assert isinstance(error, NotFoundError) == (status == 404)


@pytest.mark.parametrize(
    ("method", "url", "query", "harmless"),
    [
        ("GET", "http://c/api/tasks", {"page": 2}, True),
        ("PUT", "http://c/api/tasks/1/annotations/", {}, True),
        ("DELETE", "http://c/api/tasks/1", {}, True),
        ("POST", "http://c/api/tasks", {}, False),
        ("POST", "http://c/api/tasks/1/data/", {}, False),
        ("POST", "http://c/api/tasks/1/dataset/export", {"format": "COCO 1.0"}, True),
        ("POST", "http://c/api/auth/login", {}, True),
        ("PATCH", "http://c/api/tasks/1/annotations/", {"action": "create"}, False),
        ("PATCH", "http://c/api/tasks/1/annotations/", {"action": "update"}, False),
        ("PATCH", "http://c/api/tasks/1/annotations/", {"action": "delete"}, True),
        ("PATCH", "http://c/api/tasks/1/annotations/?action=create", {}, False),
        ("PATCH", "http://c/api/jobs/3", {}, True),
        ("PATCH", "http://c/api/tasks/1/data/0a1b", {}, False),
    ],
)
def test_only_what_does_no_harm_twice_is_repeated(method, url, query, harmless):
    assert repeatable(method, url, list(query.items())) is harmless


LABELS = (
    {"id": 4, "name": "cat", "attributes": [{"id": 7, "name": "score"}, {"id": 8, "name": "age"}]},
    {"id": 5, "name": "dog", "attributes": [{"id": 9, "name": "score"}]},
    {"id": 6, "name": "owl", "attributes": [], "sublabels": [{"id": 10, "name": "beak"}]},
)


def every_kind():
    beak = Shape("beak", Kind.POINTS, (3.0, 4.0, 5.0, 8.0))
    return [
        Shape(
            "cat", Kind.RECTANGLE, (1.0, 2.0, 3.0, 4.5), attributes={"age": "old"}, score=0.98765
        ),
        Shape("dog", Kind.ROTATED, (1.0, 2.0, 9.0, 4.0), rotation=30.0, score=0.5),
        Shape("owl", Kind.POLYGON, (1.0, 1.0, 5.0, 1.0, 3.0, 6.0), group="3", occluded=True),
        Shape("owl", Kind.ELLIPSE, (20.0, 10.0, 4.0, 2.5)),
        Shape("owl", Kind.MASK, mask=Mask(10, 20, 4, 3, (2, 3, 2, 1))),
        Shape("owl", Kind.TAG, source="automatic"),
        Shape("owl", Kind.SKELETON, elements=(beak,)),
    ]


def test_shapes_come_back_as_they_were_uploaded():
    given = every_kind()
    shapes, tags = drawings.records({1: given}, LABELS)
    frames = (Frame("a.png", 64, 48), Frame("b.png", 64, 48))
    task = AnnotationTask("3", "t", LABELS, frames, tuple(shapes), tags=tuple(tags))
    found = annotations_of([task])
    assert not found.problems
    assert not found.images[0].shapes
    by_kind = {shape.kind: shape for shape in found.images[1].shapes}
    assert len(by_kind) == len(given) == len(found.images[1].shapes)
    for shape in given:
        same = by_kind[shape.kind]
        assert (same.label, same.rotation, same.group) == (shape.label, shape.rotation, shape.group)
        assert same.points == pytest.approx(shape.points)
        assert same.occluded == shape.occluded
    assert by_kind[Kind.RECTANGLE].attributes == {"age": "old", "score": "0.9877"}
    assert by_kind[Kind.RECTANGLE].score == 0.9877
    # Each label has an attribute of this name, and its own number for it.
    assert by_kind[Kind.ROTATED].attributes == {"score": "0.5000"}
    assert shapes[1]["attributes"] == [{"spec_id": 9, "value": "0.5000"}]
    assert by_kind[Kind.MASK].mask == Mask(10, 20, 4, 3, (2, 3, 2, 1, 4))
    assert by_kind[Kind.SKELETON].elements[0].points == (3.0, 4.0, 5.0, 8.0)
    assert tags[0]["source"] == "auto"


def test_an_outline_in_several_parts_becomes_one_group():
    parts = Shape("owl", Kind.POLYGON, (1.0,) * 6, further_parts=((2.0,) * 6, (3.0,) * 6))
    grouped = Shape("owl", Kind.POINTS, (1.0, 1.0), group="7")
    shapes, _ = drawings.records({0: [parts, grouped]}, LABELS)
    assert [shape["points"][0] for shape in shapes] == [1.0, 2.0, 3.0, 1.0]
    assert [shape["group"] for shape in shapes] == [8, 8, 8, 7]
    assert not any("further_parts" in shape for shape in shapes)


def test_everything_that_cannot_go_to_cvat_is_told_at_once():
    wrong = [
        Shape("cow", Kind.TAG),
        Shape("cow", Kind.TAG),
        Shape("dog", Kind.RECTANGLE, (1.0, 2.0, math.nan, 4.0)),
        Shape("dog", Kind.TAG, attributes={"age": "old"}),
        Shape("owl", Kind.MASK),
        Shape("owl", Kind.SKELETON, elements=(Shape("wing", Kind.POINTS, (1.0, 1.0)),)),
    ]
    with pytest.raises(InputError) as caught:
        drawings.records({0: wrong}, LABELS)
    told = str(caught.value)
    for said in (
        "no label 'cow'; it has cat, dog, owl (2 shapes)",
        "coordinates of a rectangle are no finite numbers (1 shape)",
        "label 'dog' has no attribute 'age'",
        "a mask has no pixels",
        "no label 'wing'; it has beak",
    ):
        assert said in told


def test_label_specs_keep_what_a_user_made_and_add_scores_once():
    of_a_task = {
        "id": 3,
        "name": "cat",
        "color": "#112233",
        "type": "any",
        "task_id": 9,
        "has_parent": False,
        "attributes": [{"id": 1, "name": "score", "input_type": "text", "values": [""]}],
        "sublabels": [{"id": 4, "name": "paw", "attributes": []}],
    }
    cat, dog = label_specs([of_a_task, "dog"], scores=True)
    assert cat == {
        "name": "cat",
        "color": "#112233",
        "type": "any",
        "attributes": [{"name": "score", "input_type": "text", "values": [""]}],
        "sublabels": [{"name": "paw", "attributes": []}],
    }
    assert [attribute["name"] for attribute in dog["attributes"]] == ["score"]
    assert label_specs(["dog"]) == [{"name": "dog", "attributes": []}]


def info(**more):
    return info_of({"id": 3, "name": "t", "mode": "annotation", "size": 3, **more})


def test_frames_of_a_video_are_numbered_as_in_it():
    meta = {"frames": [{"name": "v.mp4", "width": 64, "height": 48}], "size": 3}
    meta |= {"start_frame": 10, "stop_frame": 16, "frame_filter": "step=3"}
    frames = frames_of(meta, info(mode="interpolation"))
    names = ["frame_000010.png", "frame_000013.png", "frame_000016.png"]
    assert frames == [Frame(name, 64, 48) for name in names]
    # Older servers do not tell the size.
    del meta["size"]
    assert len(frames_of(meta, info(mode="interpolation", size=0))) == 3


def test_frames_that_are_not_described_are_told():
    meta = {"frames": [{"name": "a.png", "width": 4, "height": 4}], "size": 3}
    with pytest.raises(ServiceError, match=r"has 3 frames, but the server describes 1"):
        frames_of(meta, info())


@pytest.mark.parametrize(
    ("more", "completed"),
    [
        ({"status": "completed"}, True),
        ({"status": "validation", "jobs": {"count": 2, "completed": 2}}, True),
        ({"status": "annotation", "jobs": {"count": 2, "completed": 1}}, False),
        ({"status": "annotation", "jobs": {"count": 0, "completed": 0}}, False),
        ({"segments": [{"jobs": [{"status": "completed"}]}]}, True),
        ({"segments": [{"jobs": [{"status": "completed"}, {"status": "validation"}]}]}, False),
    ],
)
def test_a_task_is_completed_by_its_status_or_by_all_of_its_jobs(more, completed):
    found = info(**more)
    assert isinstance(found, TaskInfo)
    assert found.completed is completed
