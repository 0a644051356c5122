"""A Triton backend named `tensorflow`, written in Python, for tests without the native one.

It lies as `tensorflow/model.py` in the server's backend directory; see the `onnxruntime` one.
"""

import os
import sys

sys.path[:0] = os.environ["TRAINYARD_TEST_BACKEND_PATH"].split(os.pathsep)
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import numpy as np  # noqa: E402
import triton_python_backend_utils as triton  # noqa: E402


class TritonPythonModel:
    """What Triton's Python backend asks for."""

    def initialize(self, args):
        # Triton also starts this to complete a configuration, which needs no slow import.
        import tensorflow

        self.constant = tensorflow.constant
        version = os.path.join(args["model_repository"], args["model_version"])
        self.loaded = tensorflow.saved_model.load(os.path.join(version, "model.savedmodel"))
        self.serve = self.loaded.signatures["serving_default"]
        self.inputs = list(self.serve.structured_input_signature[1])

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        values = {
            name: triton.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs
        }
        feed = {name: self.constant(value) for name, value in values.items()}
        found = {name: value.numpy() for name, value in self.serve(**feed).items()}
        tensors = [triton.Tensor(name, np.ascontiguousarray(v)) for name, v in found.items()]
        return triton.InferenceResponse(tensors)
