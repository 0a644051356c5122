"""What can go wrong, one class per kind a caller can act on; each knows its process exit code."""

from collections.abc import Sequence


class TrainyardError(Exception):
    """A failure with a message for people: the value, what is accepted, and the fix."""

    exit_code = 1


class ProblemsError(TrainyardError):
    """Several problems told at once; its exit code is theirs where they agree, else 2."""

    exit_code = 2

    def __init__(self, problems: Sequence[str | TrainyardError], where: str = "settings") -> None:
        self.problems = [str(problem) for problem in problems]
        codes = {getattr(problem, "exit_code", type(self).exit_code) for problem in problems}
        if len(codes) == 1:
            self.exit_code = codes.pop()
        count = len(self.problems)
        head = f"{count} problem{'s' if count != 1 else ''} in {where}:"
        super().__init__("\n".join([head, *(f"  - {problem}" for problem in self.problems)]))


class SettingsError(ProblemsError):
    """Wrong keys, types or values in the settings."""


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


class StoppedError(BaseException):
    """The process was asked to stop and saved what it needs to resume.

    No Exception, as KeyboardInterrupt is none: a signal handler raises it anywhere, and libraries
    that try one way after the other must not take it for a way that failed.
    """

    exit_code = 143

    def __init__(self, message: str, number: int = 0) -> None:
        """`number` is that of the signal which asked for it; by default SIGTERM's."""
        super().__init__(message)
        if number:
            self.exit_code = 128 + number
