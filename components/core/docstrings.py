"""Docstrings of components and pipelines, made from the settings that own the descriptions."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from components.core.settings import Settings
from components.core.stage import Stage

F = TypeVar("F", bound=Callable[..., Any])


def documented(
    *stages: Stage[Any], summary: str = "", others: type[Settings] | None = None
) -> Callable[[F], F]:
    """Gives a component or pipeline function the docstring that the Kubeflow UI shows as help.

    Put it below `@dsl.component` or `@dsl.pipeline`. Every parameter must be an input, output or
    setting of one of `stages`.

    Args:
        stages: the stages whose settings and artifacts the parameters are.
        others: describes parameters that are no stage's.
        summary: first lines; by default the docstring of the first stage's module.

    Raises:
        TypeError: a parameter that no stage knows.
    """

    def decorate(function: F) -> F:
        texts = {**_described(others or Settings), **descriptions(*stages)}
        parameters = inspect.signature(function).parameters
        if unknown := [name for name in parameters if name not in texts]:
            raise TypeError(f"{function.__name__}: no stage describes {', '.join(unknown)}")
        head = summary or (sys.modules[stages[0].settings.__module__].__doc__ or "").strip()
        lines = [f"    {name}: {texts[name]}" for name in parameters]
        function.__doc__ = "\n".join([head, "", "Args:", *lines])
        return function

    return decorate


def descriptions(*stages: Stage[Any]) -> Mapping[str, str]:
    """Parameter and artifact name → description; the first stage that has a name wins."""
    texts: dict[str, str] = {}
    for stage in stages:
        own = _described(stage.settings)
        for name, text in {**stage.inputs, **stage.outputs, **own}.items():
            texts.setdefault(name, text)
    return texts


def _described(settings: type[Settings]) -> dict[str, str]:
    return {name: field.description or "" for name, field in settings.model_fields.items()}
