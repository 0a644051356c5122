"""What can go wrong, one class per kind a caller can act on; each knows its process exit code."""

from collections.abc import Sequence


class TrainyardError(Exception):
    """A failure with a message for people: the value, what is accepted, and the fix."""

    exit_code = 1


class SettingsError(TrainyardError):
    """Wrong keys, types or values in the settings; carries every problem that was found."""

    exit_code = 2

    def __init__(self, problems: Sequence[str], where: str = "settings") -> None:
        self.problems = list(problems)
        count = len(self.problems)
        head = f"{count} problem{'s' if count != 1 else ''} in {where}:"
        super().__init__("\n".join([head, *(f"  - {problem}" for problem in self.problems)]))


class InputError(TrainyardError):
    """Input data that cannot be used: missing, empty, of another schema, or too broken."""

    exit_code = 3


class ServiceError(TrainyardError):
    """A service that cannot be reached or refuses us (endpoint, credentials, bucket)."""

    exit_code = 4


class OutOfSpaceError(TrainyardError):
    """A volume is full; what was complete before is intact, and the work can be resumed."""

    exit_code = 5


class LockedError(TrainyardError):
    """Another process works in the same state directory."""

    exit_code = 6


class StoppedError(TrainyardError):
    """The process was asked to stop and saved what it needs to resume."""

    exit_code = 143
