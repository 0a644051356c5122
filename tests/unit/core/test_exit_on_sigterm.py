"""A process that nobody has told how to stop still ends in order on SIGTERM."""

import signal
import subprocess
import sys

import pytest

SCRIPT = """
import sys, time
from components.core.lifetime import exit_on_sigterm, stop_on_sigterm
exit_on_sigterm()
if "handled" in sys.argv:
    with stop_on_sigterm() as stop:
        print("ready", flush=True)
        while not stop:
            time.sleep(0.01)
print("ready", flush=True)
time.sleep(60)
"""


def started(*arguments: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *arguments], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("arguments", [(), ("handled",)])
def test_sigterm_ends_it_with_143(arguments: tuple[str, ...]) -> None:
    process = started(*arguments)
    process.send_signal(signal.SIGTERM)
    if arguments:  # the first one was handled; one more finds nobody else
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 143
    process.communicate()
