"""The registry: sources, classes, tasks and runs, in the schema `trainyard` of a PostgreSQL.

with Registry() as registry:
    task = registry.task("meals")

`TRAINYARD_POSTGRES_DSN` names the database, which others may share; `migrations/` documents the
tables.
"""

from components.core.registry.database import VARIABLE
from components.core.registry.records import OTHER, RegisteredTask, Run
from components.core.registry.registry import Registry

__all__ = ["OTHER", "VARIABLE", "RegisteredTask", "Registry", "Run"]
