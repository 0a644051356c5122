"""A registry with a task in it, for tests."""

from typing import Any

from components.core.registry import RegisteredTask, Registry

SOURCES = ("kitchen", "canteen")


def meals(**changes: Any) -> RegisteredTask:
    """A sound task of the sources SOURCES."""
    values: dict[str, Any] = {
        "name": "meals",
        "model_name": "meal_model",
        "classes": ("eating", "drinking"),
        "sources": SOURCES,
        "train": 20,
        "validation": 5,
        "test": 0.25,
        "other": True,
    }
    return RegisteredTask(**{**values, **changes})


def fill(*tasks: RegisteredTask) -> None:
    """Adds the tasks, or `meals()`, and SOURCES to the registry of the environment."""
    with Registry() as registry:
        registry.add_source(*SOURCES)
        for task in tasks or (meals(),):
            registry.add_task(task)
