"""1,000 boxes sent to CVAT in one request, with one request per box as older tools send them.

Both ways go through the same client to the same small server on this machine (tests/cvat_server.py:
no live CVAT takes part), each into an empty task, in turns; figures are the better of three rounds.

requests  how many carry boxes in the one way; exactly one is the target
time      of one request per box over that of one for all. A server across a network adds its round
          trip to each request, and a real one a transaction, so that this is the least to expect

Prints JSON lines {name, ratio, target, ok}; exits 1 if a target is missed.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from cvat_server import TOKEN, CvatServer, running_cvat  # noqa: E402

from components.core.annotation_tasks import Record  # noqa: E402
from components.core.cvat import Cvat, Endpoint  # noqa: E402

BOXES, FRAMES, ROUNDS = 1000, 50, 3
TARGET = 10.0


def at_once(cvat: Cvat, task: str, boxes: list[Record]) -> None:
    cvat.upload(task, boxes)


def one_by_one(cvat: Cvat, task: str, boxes: list[Record]) -> None:
    for box in boxes:
        cvat.upload(task, [box])


def measured(
    server: CvatServer, cvat: Cvat, send: Callable[[Cvat, str, list[Record]], None]
) -> tuple[float, int]:
    """Seconds, and how many requests carried boxes."""
    frames = [(f"{number}.png", 64, 48) for number in range(FRAMES)]
    task = str(server.add_task("boxes", ["weed"], frames))
    label = cvat.labels(task)[0]["id"]
    boxes = [
        {
            "type": "rectangle",
            "frame": number % FRAMES,
            "label_id": label,
            "points": [1.0, 2.0, 30.5, 40.25],
            "source": "auto",
        }
        for number in range(BOXES)
    ]
    before = server.count("PATCH", "/annotations")
    began = time.perf_counter()
    send(cvat, task, boxes)
    seconds = time.perf_counter() - began
    assert len(server.annotations(int(task))["shapes"]) == BOXES
    return seconds, server.count("PATCH", "/annotations") - before


def main() -> int:
    """Prints one line per measurement; returns the exit code."""
    best = {at_once: float("inf"), one_by_one: float("inf")}
    requests = {}
    with running_cvat() as server:
        cvat = Cvat(Endpoint(server.url, token=TOKEN))
        cvat.check()
        for _ in range(ROUNDS):
            for send, fastest in best.items():
                seconds, requests[send] = measured(server, cvat, send)
                best[send] = min(fastest, seconds)
    ratio = best[one_by_one] / best[at_once]
    figures = [
        ("requests", requests[at_once], 1, requests[at_once] == 1),
        ("time", round(ratio, 1), TARGET, ratio >= TARGET),
    ]
    for name, value, target, ok in figures:
        line = {"name": f"cvat_upload_{name}", "ratio": value, "target": target, "ok": ok}
        if name == "requests":
            line["one_by_one"] = requests[one_by_one]
        else:
            line["seconds"] = [round(best[send], 4) for send in (at_once, one_by_one)]
        print(json.dumps(line))
    return 0 if all(ok for *_, ok in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
