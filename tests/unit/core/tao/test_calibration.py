"""Images for int8 come from the training part, as TensorFlow's own records tell it."""

import pytest

from components.core.tao.calibration import validation_frames


@pytest.fixture(scope="module")
def tensorflow():
    return pytest.importorskip("tensorflow")


def example(tensorflow, frame):
    train = tensorflow.train

    def text(value):
        return train.Feature(bytes_list=train.BytesList(value=[value]))

    size = train.Feature(int64_list=train.Int64List(value=[384]))
    features = {
        "frame/id": text(frame.encode()),
        "frame/height": size,
        "frame/encoded": text(b"\x89PNG" + bytes(3000)),
        "target/object_class": text(b"car"),
    }
    return train.Example(features=train.Features(feature=features)).SerializeToString()


def test_the_names_of_validation_images_are_read_from_their_records(tensorflow, tmp_path):
    frames = {0: ["image_2/000001", "image_2/a name with ünicode"], 1: ["image_2/000002"]}
    for fold, names in frames.items():
        path = tmp_path / f"tfrecord-fold-00{fold}-of-002-shard-00000-of-00001"
        with tensorflow.io.TFRecordWriter(str(path)) as writer:
            for name in names:
                writer.write(example(tensorflow, name))
    assert validation_frames(tmp_path) == {"000001", "a name with ünicode"}


def test_files_of_another_kind_name_no_image(tmp_path):
    (tmp_path / "tfrecord-fold-000-of-002-shard-00000-of-00001").write_bytes(b"text" * 20)
    assert validation_frames(tmp_path) == set()
