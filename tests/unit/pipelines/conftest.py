"""Makes drawing pipelines as fast in tests as it is outside of them."""

import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest


def _callers() -> list[tuple[Any, ...]]:
    """The callers of whoever asks, as far as kfp looks: (frame, file, line, function)."""
    frames = [sys._getframe(1), sys._getframe(2)]
    return [(f, f.f_code.co_filename, f.f_lineno, f.f_code.co_name) for f in frames]


@pytest.fixture(autouse=True, scope="session")
def quick_stacks() -> Iterator[None]:
    """kfp 2.17 looks up the module and source of every frame, for each property of each task, to
    know the name of its caller. Below pytest-xdist that is most of the time of these tests.
    """
    from kfp.dsl import pipeline_task

    whole, pipeline_task.inspect = pipeline_task.inspect, SimpleNamespace(stack=_callers)
    yield
    pipeline_task.inspect = whole
