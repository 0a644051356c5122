"""A Triton backend named `onnxruntime`, written in Python, for tests without the native one.

The server copies nothing: this file lies as `onnxruntime/model.py` in its backend directory and
runs inside Triton's Python stub, which has the interpreter but not the test environment.
"""

import os
import sys

sys.path[:0] = os.environ["TRAINYARD_TEST_BACKEND_PATH"].split(os.pathsep)

import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402
import triton_python_backend_utils as triton  # noqa: E402


class TritonPythonModel:
    """What Triton's Python backend asks for."""

    def initialize(self, args):
        path = os.path.join(args["model_repository"], args["model_version"], "model.onnx")
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.inputs = [tensor.name for tensor in self.session.get_inputs()]
        self.outputs = [tensor.name for tensor in self.session.get_outputs()]

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        feed = {
            name: triton.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs
        }
        found = zip(self.outputs, self.session.run(self.outputs, feed), strict=True)
        tensors = [triton.Tensor(name, np.ascontiguousarray(value)) for name, value in found]
        return triton.InferenceResponse(tensors)
