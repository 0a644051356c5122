"""A running Triton server: loads a published model and shows that it answers as the bundle does."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from components.core.artifacts.model_bundle import ModelBundle
from components.core.detection.agreement import agreement
from components.core.detection.bundles import gives_detections
from components.core.errors import ServiceError
from components.triton_publish.reference import Arrays, Reference, random_batch

TOLERANCE = 5e-3
"""Largest accepted difference of an output, relative to 1 + the largest output. Leaves room for
the TensorFloat-32 arithmetic of a GPU."""

MEANINGS = ("boxes", "scores", "labels")
"""Of a detector's outputs."""

POLL_SECONDS = 0.2
SETTLE_SECONDS = 5.0


class Server:
    """Triton's HTTP endpoint."""

    def __init__(self, url: str, timeout: float = 10.0) -> None:
        """Names the server; nothing is contacted yet.

        Args:
            url: `http://host:port` or `https://host`.
            timeout: seconds for each request.
        """
        from tritonclient.http import InferenceServerClient

        parts = urlsplit(url)
        self.url = url
        self._client = InferenceServerClient(
            parts.netloc + parts.path.rstrip("/"),
            ssl=parts.scheme == "https",
            connection_timeout=min(timeout, 5.0),
            network_timeout=timeout,
        )

    def check(self) -> None:
        """Makes sure that the server lives.

        Raises:
            ServiceError: it does not answer, or not as a Triton server.
        """
        try:
            alive = self._client.is_server_live()
        except Exception as error:  # gevent, socket, ssl and tritonclient each have their own
            raise ServiceError(
                f"{self.url} cannot be reached ({error or type(error).__name__}); is the server "
                "up, and is this its HTTP port?"
            ) from None
        if not alive:
            raise ServiceError(f"{self.url} answers, but not as a live Triton server")

    def load(self, model: str, version: int, seconds: float, needs: str) -> None:
        """Makes the server load the model's newest state and waits until the version is ready.

        `needs` says what the server must have for it.

        Raises:
            ServiceError: it does not, or not in time.
        """

        try:
            polling = not self._loaded(model, needs)
            # An explicit load returns when it is done; a polling server comes round in its time.
            deadline = time.monotonic() + (seconds if polling else SETTLE_SECONDS)
            while not self._client.is_model_ready(model, str(version)):
                if time.monotonic() > deadline:
                    raise ServiceError(
                        f"{self.url} {self._instead(model)} and not version {version}; it may "
                        "serve another repository, or only newer versions (version_policy in "
                        "config.pbtxt)"
                    )
                time.sleep(POLL_SECONDS)
        except OSError as error:
            raise ServiceError(f"{self.url} ended the connection: {error}") from None

    def _loaded(self, model: str, needs: str) -> bool:
        from tritonclient.utils import InferenceServerException

        try:
            self._client.load_model(model)
        except InferenceServerException as error:
            if "polling is enabled" in str(error):
                return False
            raise ServiceError(
                f"{self.url} does not load {model}: {error}. It must serve this repository, with "
                f"--model-control-mode=explicit or poll, and have {needs}"
            ) from None
        return True

    def _instead(self, model: str) -> str:
        index = self._client.get_model_repository_index()
        found = [e.get("version", "") for e in index if e["name"] == model and e.get("state")]
        ready = [str(number) for number in found if number]
        return f"serves {model} in version {', '.join(ready)}" if ready else f"serves no {model}"

    def outputs(self, model: str, version: int, bundle: ModelBundle, batch: Arrays) -> Arrays:
        """Every output for one batch.

        Raises:
            ServiceError: the server refuses it, or the answer lacks an output.
        """
        from tritonclient.http import InferInput, InferRequestedOutput
        from tritonclient.utils import InferenceServerException, np_to_triton_dtype

        tensors = []
        for name, values in batch.items():
            tensors.append(InferInput(name, list(values.shape), np_to_triton_dtype(values.dtype)))
            tensors[-1].set_data_from_numpy(values)
        names = [tensor.name for tensor in bundle.outputs]
        try:
            answer = self._client.infer(
                model, tensors, str(version), [InferRequestedOutput(name) for name in names]
            )
            return {name: np.asarray(answer.as_numpy(name)) for name in names}
        except (InferenceServerException, OSError, ValueError) as error:
            raise ServiceError(f"{self.url} cannot answer with {model}: {error}") from None


def compare(
    server: Server,
    model: str,
    version: int,
    bundle: ModelBundle,
    reference: Reference,
    batch_size: int,
) -> float:
    """Sends one random batch to the server and to `reference`; returns the largest difference.

    Args:
        server: has loaded the model.
        model: its name there.
        version: its version there.
        bundle: describes inputs and outputs.
        reference: computes the bundle's outputs.
        batch_size: clips or images in the batch.

    Raises:
        ServiceError: an answer differs by more than TOLERANCE x (1 + largest value of the output),
            or detections have no counterpart.
    """
    batch = random_batch(bundle, batch_size)
    expected = reference(batch)
    found = server.outputs(model, version, bundle, batch)
    where = f"{server.url} answers with {model} version {version}, but its"
    if gives_detections(bundle):
        return _detections_difference(found, expected, bundle, where)
    return max(
        _difference(found[tensor.name], expected[tensor.name], f"{where} output {tensor.name}")
        for tensor in bundle.outputs
    )


def require_answer(
    server: Server, model: str, version: int, bundle: ModelBundle, batch_size: int
) -> None:
    """Makes sure that a server answers one random batch in the bundle's shapes, with finite values.

    Raises:
        ServiceError: it does not.
    """
    found = server.outputs(model, version, bundle, random_batch(bundle, batch_size))
    for tensor in bundle.outputs:
        values = found[tensor.name]
        expected = [batch_size, *tensor.shape[1:]]
        fits = len(expected) == values.ndim and all(
            size in (-1, have) for size, have in zip(expected, values.shape, strict=True)
        )
        if not fits or not np.isfinite(np.asarray(values, np.float64)).all():
            raise ServiceError(
                f"{server.url} answers with {model} version {version}, but its output "
                f"{tensor.name} has the shape {list(values.shape)} or values that are no numbers; "
                f"expected is {expected}"
            )


def _detections_difference(
    found: Arrays, expected: Arrays, bundle: ModelBundle, where: str
) -> float:
    """The largest difference of a score; which of two overlapping boxes stays may differ."""
    for tensor in bundle.outputs:
        have, want = found[tensor.name].shape, expected[tensor.name].shape
        if have != want:
            raise ServiceError(
                f"{where} output {tensor.name} has the shape {have}, expected {want}"
            )
    names = [
        output.name for part in MEANINGS for output in bundle.outputs if output.meaning == part
    ]
    one, other = ([tables[name] for name in names] for tables in (found, expected))
    result = agreement(one, other, box=2 * TOLERANCE, score=TOLERANCE)
    if not result.good:
        raise ServiceError(
            f"{where} detections are others than the model's: {result.alone} of "
            f"{result.detections} have no counterpart; does it serve this repository?"
        )
    return result.difference


def _difference(found: NDArray[Any], expected: NDArray[Any], what: str) -> float:
    if found.shape != expected.shape:
        raise ServiceError(f"{what} has the shape {found.shape}, expected {expected.shape}")
    if expected.dtype.kind in "OSU":  # text
        if not np.array_equal(found.astype("S"), expected.astype("S")):
            raise ServiceError(f"{what} is another text than the model's")
        return 0.0
    one, other = (np.asarray(values, dtype=np.float64) for values in (found, expected))
    difference = float(np.abs(one - other).max())
    allowed = TOLERANCE * (1 + float(np.abs(other).max()))
    if not difference <= allowed:  # also refuses NaN
        raise ServiceError(
            f"{what} differs from the model's by {difference:.2e}, more than {allowed:.2e}; does "
            "it serve this repository?"
        )
    return difference
