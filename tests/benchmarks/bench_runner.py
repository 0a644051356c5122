"""What the embedded runner adds to the stages' own work, and how fast the command line answers.

Prints JSON lines {name, seconds, target, ok}; exits 1 if a target is missed.
"""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

from trainyard_process import SMALL, assignments, record, run  # noqa: E402

from pipelines.demo import write_clips  # noqa: E402

RUNS = 5


def main() -> None:
    """Measures and prints."""
    folder = Path(tempfile.mkdtemp(prefix="bench-runner-"))
    try:
        results = [*per_step(folder), *command_line(folder)]
    finally:
        shutil.rmtree(folder)
    for result in results:
        print(json.dumps(result))
    sys.exit(not all(result["ok"] for result in results))


def per_step(folder: Path) -> list[dict]:
    """A resumed run whose steps are all done: what is left is what the runner adds."""
    source = write_clips(folder / "clips", clips_per_class=8)
    out = folder / "out"
    call = ["run", "action_recognition", "--output", out]
    first = run(folder, *call, f"source={source}", *assignments(SMALL))
    assert first.returncode == 0, first.stderr
    added = []
    for _ in range(RUNS):
        again = run(folder, *call, "--resume")
        assert again.returncode == 0, again.stderr
        steps = record(out)["steps"].values()
        assert all(step["status"] == "reused" for step in steps)
        added.append(statistics.mean(step["seconds"] for step in steps))
    return [verdict("runner, added per step", statistics.median(added), 0.3)]


def command_line(folder: Path) -> list[dict]:
    """Time until `trainyard --help` has answered."""
    trainyard = Path(sys.executable).with_name("trainyard")
    taken = []
    for _ in range(RUNS):
        began = time.perf_counter()
        subprocess.run([trainyard, "--help"], stdout=subprocess.DEVNULL, check=True)
        taken.append(time.perf_counter() - began)
    return [verdict("trainyard --help", statistics.median(taken), 0.5)]


def verdict(name: str, seconds: float, target: float) -> dict:
    """One line of the result; smaller is better."""
    return {"name": name, "seconds": round(seconds, 3), "target": target, "ok": seconds <= target}


if __name__ == "__main__":
    main()
