"""TorchScript of a renderer, which runs without our code, and the proof that it computes the same.

A trace is written plain: freezing or optimising it would tie it to a device and a version of
PyTorch, whereas the viewer has libtorch 1.12 and moves the network to its own device.
"""

from __future__ import annotations

import copy
import io
import os
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from components.core import files
from components.core.errors import InputError, TrainyardError
from components.core.formats.viewer_network import ViewerNetwork, write_viewer_network
from components.core.models.inovis import INOVIS
from components.core.models.inovis_options import MULTIPLE
from components.core.models.warp import identity_coordinates

Inputs = tuple[tuple[Tensor, ...], tuple[Tensor, ...], tuple[Tensor, ...]]
"""Renderings at each resolution, photographs, and lookups, as a renderer takes them."""

TOLERANCE = 1e-4
"""Largest accepted difference of a value in [0, 1] between the trace and the network."""

_EXAMPLE, _OTHER = (32, 48), (48, 32)
"""Height and width, of renderings and of photographs, of what the trace is recorded with."""


def export_trace(network: INOVIS, path: Path) -> float:
    """Writes a renderer in evaluation mode, whole or not at all, and proves it.

    The file holds the network on the CPU, for any batch and size; it takes three tuples of
    tensors: the renderings, all photographs (`in_gt_frame_amount`, none absent), and the lookups.

    Args:
        network: neither changed nor moved.
        path: the file to write; one that is there is replaced.

    Returns:
        The largest difference between the trace, read again, and the network.

    Raises:
        TrainyardError: the trace computes something else.
    """
    plain = copy.deepcopy(network).to("cpu", torch.float32, memory_format=torch.contiguous_format)
    plain.eval().requires_grad_(False)
    with files.atomic_path(path) as temporary:
        with _quiet():
            trace = torch.jit.trace(plain, example_inputs(plain), check_trace=False)
            content = io.BytesIO()
            torch.jit.save(trace, content)
        with open(temporary, "wb") as file:
            file.write(_without_places(content.getvalue()))
            file.flush()
            os.fsync(file.fileno())
        batches = [
            example_inputs(plain, _OTHER, _EXAMPLE, batch=2, seed=1),
            example_inputs(plain, (80, 64), (70, 90), seed=2),
        ]
        return verify_trace(temporary, plain, batches)


def verify_trace(
    path: Path, network: nn.Module, batches: Sequence[Inputs], tolerance: float = TOLERANCE
) -> float:
    """Reads a trace and compares it with the network on each batch.

    Args:
        path: the TorchScript file.
        network: what it was exported from, in evaluation mode, on the CPU.
        batches: inputs, of any sizes.
        tolerance: largest accepted difference.

    Returns:
        The largest difference.

    Raises:
        TrainyardError: the file cannot be read, or an output has another shape or differs by more.
    """
    trace = load_trace(path)
    worst = 0.0
    for batch in batches:
        with torch.no_grad():
            expected, found = network(*batch), trace(*batch)
        size = "x".join(str(n) for n in batch[0][0].shape)
        if found.shape != expected.shape:
            raise TrainyardError(
                f"{path.name} returns {tuple(found.shape)} for a rendering of {size}, but the "
                f"network returns {tuple(expected.shape)}; the trace is not usable"
            )
        difference = float((found - expected).abs().max())
        if not difference <= tolerance:  # never with NaN
            raise TrainyardError(
                f"{path.name} differs from the network by {difference:.2e} on a rendering of "
                f"{size}, more than the accepted {tolerance:.0e}; the trace is not usable"
            )
        worst = max(worst, difference)
    return worst


def load_trace(path: Path) -> torch.jit.ScriptModule:
    """A TorchScript file on the CPU, in evaluation mode.

    Raises:
        InputError: absent or damaged.
    """
    try:
        with _quiet():
            trace: torch.jit.ScriptModule = torch.jit.load(str(path), map_location="cpu")
    except (RuntimeError, ValueError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} cannot be read as TorchScript: {reason}") from None
    return trace.eval()


def write_for_viewer(
    folder: Path, name: str, network: INOVIS, *, pre_init_lookups: bool = False
) -> ViewerNetwork:
    """Writes `<name>.pt` and, when it is proved, `<name>.txt`, as the viewer reads them.

    Args:
        folder: the viewer's `networks`, or any; created if absent.
        name: of the network, without spaces.
        network: takes no more than the viewer has.
        pre_init_lookups: whether it was trained with lookups that the viewer's `Pre Init MV` fills.

    Raises:
        InputError: the viewer could not use it.
        TrainyardError: the trace computes something else.
    """
    about = viewer_network(name, network, pre_init_lookups=pre_init_lookups)
    if problems := [*about.problems(), *_viewer_problems(network)]:
        raise InputError(f"the viewer cannot use this network: {'; '.join(problems)}")
    export_trace(network, folder / f"{name}.pt")
    write_viewer_network(folder, about)
    return about


def viewer_network(name: str, network: INOVIS, *, pre_init_lookups: bool = False) -> ViewerNetwork:
    """What the viewer has to know of a network; it gives lookups with their third channel."""
    return ViewerNetwork(
        name=name,
        feature_extraction_depth=network.depth,
        movec_channels=3,
        groundtruth_amount=network.aux_amount,
        pre_init_lookups=pre_init_lookups,
    )


def example_inputs(
    network: INOVIS,
    size: tuple[int, int] = _EXAMPLE,
    aux_size: tuple[int, int] = _OTHER,
    batch: int = 1,
    seed: int = 0,
) -> Inputs:
    """Random inputs of a renderer, float32 on the CPU, with lookups that look around.

    Some lookups are outside the photographs, some are not finite, and some are no surface.

    Args:
        network: whose inputs.
        size: height and width of the rendering in pixels, multiples of 16.
        aux_size: of the photographs; multiples of 8.
        batch: number of examples.
        seed: of the random numbers.

    Raises:
        InputError: a size that is no multiple of 16.
    """
    if size[0] % MULTIPLE or size[1] % MULTIPLE:
        raise InputError(f"size: {size[1]}x{size[0]} pixels are no multiples of {MULTIPLE}")
    random = torch.Generator().manual_seed(seed)

    def values(channels: int, height: int, width: int) -> Tensor:
        return torch.rand(batch, channels, height, width, generator=random)

    levels = tuple(
        values(channels, size[0] >> number, size[1] >> number)
        for number, channels in enumerate(network.channels)
    )
    aux = tuple(values(network.aux_channels, *aux_size) for _ in range(network.aux_amount))
    lookups = []
    for _ in range(network.aux_amount):
        moved = identity_coordinates(*size) + 0.5 * (values(3, *size) - 0.5)
        moved[:, 2] = (values(1, *size)[:, 0] > 0.2).float()
        moved[:, :2, :2] = float("nan")
        lookups.append(moved)
    return levels, aux, tuple(lookups)


def _viewer_problems(network: INOVIS) -> list[str]:
    """What the viewer gives: RGBD at four resolutions; and what it shows: RGB."""
    wanted: Mapping[str, tuple[object, object]] = {
        "in_channels_current": (list(network.channels), [4, 4, 4, 4]),
        "in_channels_gt": (network.aux_channels, 4),
        "out_channels": (network.arguments["out_channels"], 3),
    }
    return [
        f"{name}: {given} is not what the viewer has, which is {has}"
        for name, (given, has) in wanted.items()
        if given != has
    ]


@contextmanager
def _quiet() -> Iterator[None]:
    """PyTorch's notes that TorchScript is old: the viewer reads nothing else."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _without_places(content: bytes) -> bytes:
    """Drops the tables of source lines: they hold paths of the exporting machine."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as given, zipfile.ZipFile(result, "w") as kept:
        for item in given.infolist():
            if not item.filename.endswith(".debug_pkl"):
                kept.writestr(item, given.read(item))
    return result.getvalue()
