"""The batch that a server and the model's own runtime both answer."""

import numpy as np
import pytest
from triton_savedmodels import dense_tensor

from components.core.artifacts.model_bundle import ModelBundle, Tensor
from components.core.errors import ServiceError
from components.triton_publish.reference import random_batch
from components.triton_publish.server import compare

INPUTS = [
    Tensor(name="clip", dtype="float32", shape=[-1, -1, 4], range=[-1, 1]),
    Tensor(name="half", dtype="float16", shape=[-1, 2]),
    Tensor(name="length", dtype="int64", shape=[-1, 50], range=[3, 6]),
    Tensor(name="flag", dtype="bool", shape=[-1, 50]),
    Tensor(name="word", dtype="string", shape=[-1, 1]),
]
OUTPUTS = [dense_tensor(), Tensor(name="text", dtype="string", shape=[-1, 1])]
BUNDLE = ModelBundle(
    fingerprint="x", name="m", formats={}, task="t", inputs=INPUTS, outputs=OUTPUTS
)


class Answering:
    """Stands for a server that gives these outputs."""

    url = "http://server"

    def __init__(self, **outputs):
        self.found = outputs

    def outputs(self, model, version, bundle, batch):
        return self.found


def test_every_input_has_values_of_its_type_and_range():
    batch = random_batch(BUNDLE, 3)
    assert {name: values.shape for name, values in batch.items()} == {
        "clip": (3, 1, 4),
        "half": (3, 2),
        "length": (3, 50),
        "flag": (3, 50),
        "word": (3, 1),
    }
    assert [str(values.dtype) for values in batch.values()] == [
        "float32",
        "float16",
        "int64",
        "bool",
        "object",
    ]
    assert batch["clip"].min() < 0 < batch["clip"].max()
    assert set(batch["length"].ravel()) == {3, 4, 5, 6}
    assert set(batch["flag"].ravel()) == {False, True}
    assert all(isinstance(word, bytes) for word in batch["word"].ravel())
    for name, values in random_batch(BUNDLE, 3).items():
        assert np.array_equal(values, batch[name])


def answers(**changes):
    return {"dense": np.ones((2, 4)), "text": np.array([[b"a"], [b"b"]], dtype=object)} | changes


def test_the_largest_difference_of_all_outputs_is_found():
    server = Answering(**answers(dense=np.full((2, 4), 1.001)))
    assert compare(server, "m", 1, BUNDLE, lambda batch: answers(), 2) == pytest.approx(0.001)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dense": np.full((2, 4), 1.1)}, "output dense differs from the model's by 1.00e-01"),
        ({"dense": np.full((2, 4), np.nan)}, "output dense differs"),
        ({"dense": np.ones((2, 5))}, r"output dense has the shape \(2, 5\), expected \(2, 4\)"),
        ({"text": np.array([[b"a"], [b"c"]], dtype=object)}, "output text is another text"),
    ],
)
def test_a_difference_in_any_output_is_an_error(changes, said):
    with pytest.raises(ServiceError, match=said):
        compare(Answering(**answers(**changes)), "m", 1, BUNDLE, lambda batch: answers(), 2)
