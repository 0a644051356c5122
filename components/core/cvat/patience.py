"""How long we wait for a CVAT server."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Patience:
    """How long we wait for a server."""

    retries: int = 6
    """Attempts after the first."""
    first_seconds: float = 0.5
    """Wait before the first of them; it doubles each time."""
    longest_seconds: float = 20.0
    """The longest of these waits."""
    longest_asked_seconds: float = 300.0
    """The longest wait that the server may ask for (Retry-After)."""
    connect_seconds: float = 10.0
    read_seconds: float = 120.0
    """Between two packets of an answer, and until the first."""
    poll_seconds: float = 0.2
    """First wait between two looks at work in the background; it grows by half each time."""
    longest_poll_seconds: float = 5.0
    background_seconds: float = 1800.0
    """For a task to be made of its files, or an export to be written."""

    def quick(self) -> Patience:
        """As long as somebody waits who only wants to know whether a server is there."""
        return replace(
            self,
            retries=min(self.retries, 1),
            connect_seconds=min(self.connect_seconds, 3.0),
            read_seconds=min(self.read_seconds, 10.0),
        )
