"""Text protobuf and YAML of TAO's specifications: real files, every form, errors with lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import struct_pb2, text_format

from components.core.errors import InputError
from components.core.tao import specs
from components.core.tao.spec_text import Word

LISTS = {"classmap.txt", "label_map.txt", "val.txt"}
"""Lists of classes and files that lie beside the specifications."""


def read(text: str, name: str = "train.txt") -> specs.SpecTree:
    return specs.parse(text, Path(name))


def test_every_real_specification_is_read_and_written_alike(shared_data: Path) -> None:
    folder = shared_data / "tao_specs"
    paths = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix in specs.SUFFIXES and path.name not in LISTS
    ]
    kinds = {"text": 0, "yaml": 0}
    for path in paths:
        tree = specs.parse(path.read_text(encoding="utf-8"), path)
        assert isinstance(tree.root, dict | list), path
        assert tree.root, path
        assert specs.parse(tree.text(), path).root == tree.root, path
        kinds[tree.kind] += 1
    assert kinds == {"text": 28, "yaml": 123}


def test_values_of_a_real_specification(shared_data: Path) -> None:
    path = shared_data / "tao_specs/se7ven012+pipeline_utilit/detectnet_v2_train_resnet18_kitti.txt"
    tree = specs.parse(path.read_text(encoding="utf-8"), path)
    assert specs.lookup(tree, "augmentation_config.preprocessing.output_image_width") == 1248
    assert specs.lookup(tree, "model_config.arch") == "vgg"
    floatx = specs.lookup(tree, "model_config.training_precision.backend_floatx")
    assert (floatx, type(floatx)) == ("FLOAT32", Word)
    assert specs.mapping(tree, "dataset_config.target_class_mapping") == {
        "car": "car", "cyclist": "cyclist", "pedestrian": "pedestrian",
        "person_sitting": "pedestrian", "van": "car",
    }  # fmt: skip
    assert specs.lookup(tree, "model_config.use_batch_norm") is True
    assert tree.line("model_config.arch") == 1 + path.read_text().split("\n").index('  arch:"vgg"')


def test_numbers_are_those_of_the_vendors_reader(shared_data: Path) -> None:
    path = shared_data / "tao_specs/NVIDIA+tao_tutorials/dino/train.yaml"
    tree = specs.parse(path.read_text(encoding="utf-8"), path)
    assert specs.lookup(tree, "train.optim.lr_backbone") == 2e-5
    assert specs.lookup(tree, "train.optim.lr") == 2e-4
    assert specs.lookup(tree, "dataset.train_data_sources.image_dir").startswith("/data/")
    assert specs.lookup(tree, "train.optim.lr_steps") == 11
    assert specs.lookup(tree, "train.nothing", "?") == "?"


def as_dict(message: struct_pb2.Struct) -> Any:
    return {name: one.number_value for name, one in message.fields.items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "a: 1 b: -2.5e3 c: .5f d: 0x1F e: 017",
            {"a": 1, "b": -2500.0, "c": 0.5, "d": 31, "e": 15},
        ),
        ("a: 'x' \"y\"\n 'z'", {"a": "xyz"}),
        (r'a: "\"q\" \\ \n \101 \x42"', {"a": '"q" \\ \n A B'}),
        ("a { b: 1 }, a < b: 2 >; a: { b: 3 }", {"a": [{"b": 1}, {"b": 2}, {"b": 3}]}),
        ("a: [1, 2] a: 3 # end", {"a": [1, 2, 3]}),
        ("a: [] b: [{c: 1}, {c: 2}]", {"a": [], "b": [{"c": 1}, {"c": 2}]}),
        ("a: true b: False c: L1 d: -inf", {"a": True, "b": False, "c": "L1", "d": -float("inf")}),
        ("[some.extension] { a: 1 }", {"[some.extension]": {"a": 1}}),
        ("# only a comment", {}),
    ],
)
def test_forms_of_text_protobuf(text: str, expected: dict[str, Any]) -> None:
    tree = read(text)
    assert tree.root == expected
    assert read(tree.text()).root == expected or expected.get("a") == []


def test_maps_are_read_as_protobufs_own_reader_does() -> None:
    entries = [f'fields {{ key: "{k}" value {{ number_value: {v} }} }}' for k, v in ("a2", "b4")]
    text = "\n".join(entries)
    own = as_dict(text_format.Parse(text, struct_pb2.Struct()))
    found = specs.mapping(read(text), "fields")
    assert {name: value["number_value"] for name, value in found.items()} == own


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("a {\n b: 1\n", "x.txt", "x.txt:1: not valid protobuf text: the { of a is never closed"),
        ("a: 1\n}\n", "x.txt", "x.txt:2: .*expected the name of a field, got '}'"),
        ("a: 1\nb 2", "x.txt", "x.txt:2: .*after b a colon or an opening brace is missing"),
        ('a: 1\n\nb: "x', "x.txt", 'x.txt:3: .*the text is not closed: "x'),
        ("a:", "x.txt", "x.txt:1: .*a has no value, got the end of the file"),
        ("a: [1 2]", "x.txt", "x.txt:1: .*expected a comma or ], got '2'"),
        ("a: 1\nb: [\n", "x.yaml", "x.yaml:3: not valid YAML"),
        ("a:\n  b: 1\n  b: 2\n", "x.yml", "x.yml:3: .*b is there twice, first in line 2"),
        ("a: 1\n---\nb: 2\n", "x.yaml", "x.yaml:2: .*expected a single document"),
        ("a: &x [*x]", "x.yaml", "x.yaml:1: .*nested too deeply, or holds itself"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message.replace("{", r"\{").replace("}", r"\}")):
        read(text, name)


def test_merged_yaml_keeps_the_values_of_its_own() -> None:
    tree = read("base: &b {x: 1, y: 2}\nfirst: {<<: *b, y: 3}\nsecond: *b\n", "x.yaml")
    assert tree.root["first"] == {"x": 1, "y": 3}
    assert tree.root["second"] == {"x": 1, "y": 2}


def test_a_changed_specification_leaves_the_first_as_it_was() -> None:
    tree = read('training_config { num_epochs: 80 }\nlayer { n: 1 } layer { n: 2 } t: L1 p: "/a"')
    more = tree.changed(
        {"training_config.resume_model_path": "/w/m.hdf5", "layer.n": 5, "new.deep.x": True}
    )
    again = read(more.text())
    assert specs.lookup(again, "training_config.resume_model_path") == "/w/m.hdf5"
    assert specs.lookup_all(again, "layer.n") == [5, 2]
    assert specs.lookup(again, "new.deep.x") is True
    assert "t: L1\n" in more.text()
    assert 'p: "/a"\n' in more.text()
    assert specs.lookup(tree, "layer.n") == 1
    assert "resume" not in tree.text()
