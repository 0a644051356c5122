"""A pool of worker processes that outlives crashes and hangs of the code it runs.

Decoders are native code fed with files from anywhere: some file makes one crash or spin. Such a
task costs its worker, which is replaced; the task is reported as failed and the others go on.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any, Generic, TypeVar

from components.core.errors import TrainyardError
from components.core.lifetime import die_with_parent

T = TypeVar("T")
R = TypeVar("R")

Tick = Callable[[], None]

_BEAT_SECONDS = 0.5
_LOOK_SECONDS = 0.5
_QUEUED = 2
"""Tasks handed to a worker at a time, so that it never waits for the parent."""

_STARTS = 3
"""Workers in a row that may die before they give a sign of life."""

_AHEAD = 32
"""Results per worker that may wait for an earlier one."""


@dataclass(frozen=True)
class Failure:
    """A task that gave no result."""

    reason: str


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    connection: Connection[Any, Any]
    tasks: deque[int] = field(default_factory=deque)
    seen: float = field(default_factory=time.monotonic)
    answered: bool = False


class WorkerPool(Generic[T, R]):
    """Runs `function(task, tick)` for every task, each in one of several processes.

    Workers are plain interpreters, not forks: nothing of the caller's state (locks, threads, open
    files, an unguarded main module) reaches them, and they end when the caller does, however it
    does.

    Args:
        function: importable by name; must call `tick` often while it makes progress. TrainyardError
            and other exceptions make the task a Failure, but an OSError (a full disk) ends the run.
        workers: number of processes.
        stall_seconds: a worker that has not called `tick` for so long is killed.
    """

    def __init__(
        self, function: Callable[[T, Tick], R], workers: int, stall_seconds: float
    ) -> None:
        self._function = function
        self._size = workers
        self._stall = stall_seconds
        self._workers: list[_Worker] = []
        self._retried: set[int] = set()
        self._results: dict[int, R | Failure] = {}
        self._stillborn = 0

    def run(self, tasks: Sequence[T]) -> Generator[R | Failure, None, None]:
        """Yields each task's result or failure, in the order of `tasks`.

        A task whose worker died (but did not hang) is tried a second time, because workers also
        die for reasons that are not the task's, such as a lack of memory. Close the generator to
        end the workers early.

        Raises:
            OSError: raised by a task.
            TrainyardError: the workers do not start.
        """
        waiting = deque(range(len(tasks)))
        self._results.clear()
        self._retried.clear()
        self._stillborn = 0
        try:
            for _ in range(min(self._size, len(tasks))):
                self._workers.append(self._started())
            for number in range(len(tasks)):
                while number not in self._results:
                    self._hand_out(tasks, waiting, number + _AHEAD * self._size)
                    self._collect(waiting)
                yield self._results.pop(number)
        finally:
            for worker in self._workers:
                _end(worker)
            self._workers.clear()

    def _started(self) -> _Worker:
        ours, theirs = Pipe()
        code = "import sys; from components.core.video.pool import serve; serve(int(sys.argv[1]))"
        places = [os.path.abspath(place) for place in sys.path]
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", code, str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno() if _has_descriptor(sys.stderr) else subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
        )
        theirs.close()
        with suppress(ConnectionError):  # it died at once; _collect finds out
            ours.send(self._function)
        return _Worker(process, ours)

    def _hand_out(self, tasks: Sequence[T], waiting: deque[int], limit: int) -> None:
        for room in range(1, _QUEUED + 1):
            for worker in self._workers:
                if len(worker.tasks) < room and waiting and waiting[0] < limit:
                    if not worker.tasks:
                        worker.seen = time.monotonic()
                    try:
                        worker.connection.send((waiting[0], tasks[waiting[0]]))
                    except OSError:  # it just died; _collect finds out
                        continue
                    worker.tasks.append(waiting.popleft())

    def _collect(self, waiting: deque[int]) -> None:
        ready = wait([worker.connection for worker in self._workers], _LOOK_SECONDS)
        now = time.monotonic()
        for position, worker in enumerate(self._workers):
            if worker.connection in ready:
                try:
                    self._take(worker, worker.connection.recv())
                    worker.seen, worker.answered = now, True
                    self._stillborn = 0
                except (EOFError, ConnectionError):
                    self._workers[position] = self._replaced(worker, waiting, died=True)
            elif worker.tasks and now - worker.seen > self._stall:
                self._workers[position] = self._replaced(worker, waiting, died=False)

    def _take(self, worker: _Worker, message: Any) -> None:
        if message is None:  # a sign of life
            return
        number, result = message
        if isinstance(result, OSError):
            raise result
        worker.tasks.remove(number)
        self._results[number] = result

    def _replaced(self, worker: _Worker, waiting: deque[int], died: bool) -> _Worker:
        """Ends a worker, settles what it was working on, returns its successor."""
        _end(worker)
        self._stillborn += died and not worker.answered
        if self._stillborn >= _STARTS:
            raise TrainyardError(
                f"a worker process cannot start (exit code {worker.process.returncode}); "
                "its own message is above"
            )
        left = list(worker.tasks)
        if left and (worker.answered or not died):
            culprit = left.pop(0)
            if not died:
                self._results[culprit] = Failure(f"no progress for {self._stall:g} s")
            elif culprit in self._retried:
                self._results[culprit] = Failure(f"it {_death(worker.process.returncode)}, twice")
            else:
                self._retried.add(culprit)
                left.insert(0, culprit)
        waiting.extendleft(reversed(left))
        return self._started()


def serve(descriptor: int) -> None:
    """The body of a worker process: takes tasks from a connection until it closes."""
    die_with_parent(signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    connection: Connection[Any, Any] = Connection(descriptor)
    beaten = 0.0

    def tick() -> None:
        nonlocal beaten
        now = time.monotonic()
        if now - beaten > _BEAT_SECONDS:
            beaten = now
            connection.send(None)

    try:
        function = connection.recv()
        connection.send(None)
        while True:
            number, task = connection.recv()
            connection.send((number, _result(function, task, tick)))
    except (EOFError, ConnectionError):
        return


def _result(function: Callable[[Any, Tick], Any], task: Any, tick: Tick) -> Any:
    tick()
    try:
        return function(task, tick)
    except TrainyardError as error:
        return Failure(str(error))
    except ConnectionError:  # the parent is gone
        raise
    except OSError as error:
        return error
    except Exception as error:  # one odd clip must not end the run
        return Failure(f"{type(error).__name__}: {error}")


def _end(worker: _Worker) -> None:
    worker.process.kill()
    worker.process.wait()
    worker.connection.close()


def _death(code: int) -> str:
    if code < 0:
        return f"brought its process down ({signal.Signals(-code).name})"
    return f"ended its process (exit code {code})"


def _has_descriptor(stream: Any) -> bool:
    try:
        stream.fileno()
    except (AttributeError, OSError):
        return False
    return True
