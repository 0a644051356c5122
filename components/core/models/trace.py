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
from typing import Any

import torch
from torch import nn

from components.core import files
from components.core.errors import InputError, TrainyardError
from components.core.formats.viewer_network import ViewerNetwork, write_viewer_network
from components.core.models.inovis import INOVIS
from components.core.models.inovis_inputs import Inputs, example_inputs

TOLERANCE = 1e-4
"""Largest accepted difference of a value in [0, 1] between the trace and the network."""

_COMPARED: tuple[dict[str, Any], ...] = (
    {"size": (48, 32), "aux_size": (32, 48), "batch": 2, "seed": 1},
    {"size": (80, 64), "aux_size": (72, 96), "seed": 2},
)
"""Inputs that a trace is compared on, of other sizes than what it is recorded with."""


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
    plain = (
        copy.deepcopy(network).to("cpu", torch.float32).to(memory_format=torch.contiguous_format)
    )
    plain.eval().requires_grad_(False)
    given = plain.channels, plain.aux_channels, plain.aux_amount
    with files.atomic_path(path) as temporary:
        with _quiet():
            trace = torch.jit.trace(  # type: ignore[no-untyped-call]
                plain, example_inputs(*given), check_trace=False
            )
            content = io.BytesIO()
            torch.jit.save(trace, content)
        with open(temporary, "wb") as file:
            file.write(_without_places(content.getvalue()))
            file.flush()
            os.fsync(file.fileno())
        batches = [example_inputs(*given, **sizes) for sizes in _COMPARED]
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
            trace: torch.jit.ScriptModule = torch.jit.load(  # type: ignore[no-untyped-call]
                str(path), map_location="cpu"
            )
    except (RuntimeError, ValueError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} cannot be read as TorchScript: {reason}") from None
    return trace.eval()


def write_for_viewer(
    folder: Path,
    name: str,
    network: INOVIS,
    *,
    pre_init_lookups: bool = False,
    replace: bool = False,
) -> ViewerNetwork:
    """Writes `<name>.pt` and, when it is proved, `<name>.txt`, as the viewer reads them.

    Args:
        folder: the viewer's `networks`, or any; created if absent.
        name: of the network, without spaces.
        network: takes no more than the viewer has.
        pre_init_lookups: whether it was trained with lookups that the viewer's `Pre Init MV` fills.
        replace: write over a network of that name; otherwise it is refused.

    Raises:
        InputError: the viewer could not use it, or has a network of that name.
        TrainyardError: the trace computes something else.
    """
    about = viewer_network(name, network, pre_init_lookups=pre_init_lookups)
    problems = [*about.problems(), *_viewer_problems(network)]
    if not replace and any((folder / f"{name}{suffix}").exists() for suffix in (".pt", ".txt")):
        problems.append(f"name: {folder} has a network {name!r}; choose another name")
    if problems:
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
