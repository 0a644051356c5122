"""What stages hand to each other: directories with an index file, typed readers and writers."""

from components.core.artifacts.base import (
    Index,
    fingerprint,
    read_index,
    resolve,
    write_location,
)

__all__ = ["Index", "fingerprint", "read_index", "resolve", "write_location"]
