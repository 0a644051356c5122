"""The card of a published renderer: what it is, how good it is, and where it comes from."""

from __future__ import annotations

from typing import Any

from components import __version__
from components.core.artifacts.model_bundle import ModelBundle
from components.core.artifacts.rendering_evaluation import RenderingEvaluation, RenderingMetrics
from components.core.wording import counted


def model_card(
    name: str, bundle: ModelBundle, evaluation: RenderingEvaluation, metrics: RenderingMetrics
) -> dict[str, Any]:
    """The card as a JSON document; the same model and evaluation give the same card."""
    return {
        "name": name,
        "fingerprint": bundle.fingerprint,
        "task": bundle.task,
        "inputs": [tensor.model_dump() for tensor in bundle.inputs],
        "outputs": [tensor.model_dump() for tensor in bundle.outputs],
        "preprocessing": bundle.preprocessing,
        "architecture": bundle.architecture,
        "training": bundle.training,
        "data": {"frames": bundle.dataset, "evaluated": evaluation.dataset},
        "validation": bundle.metrics,
        "evaluation": {
            "fingerprint": evaluation.fingerprint,
            "part": evaluation.part,
            "frames": evaluation.frames,
            "figures": metrics.figures,
            "intervals": {key: list(pair) for key, pair in metrics.intervals.items()},
            "confidence": metrics.confidence,
            "sets": metrics.sets,
            "notes": metrics.notes,
        },
        "code_version": {"trained": bundle.code_version, "published": __version__},
    }


def card_text(card: dict[str, Any]) -> str:
    """The card as Markdown, for people."""
    found, data = card["evaluation"], card["data"]
    aux = card["preprocessing"].get("aux")
    lines = [
        f"# {card['name']}",
        "",
        f"Renders photographs from points and {counted(aux, 'nearby photograph')}.",
        "",
        "## How good it is",
        "",
        f"On {counted(found['frames'], 'whole frame')} ({found['part']} part):",
        "",
        f"| figure | value | {found['confidence']:.0%} interval |",
        "|---|---|---|",
    ]
    for key, value in found["figures"].items():
        pair = found["intervals"].get(key)
        span = f"{pair[0]:.3f} to {pair[1]:.3f}" if pair else ""
        lines.append(f"| {key.replace('_', ' ')} | {value:.4f} | {span} |")
    if found["notes"]:
        lines += ["", "Before quoting a figure:", "", *(f"- {note}" for note in found["notes"])]
    lines += ["", "## Input and output", ""]
    for role in ("inputs", "outputs"):
        for tensor in card[role]:
            about = f"{tensor['layout']}, {tensor['meaning']}"
            lines.append(f"- {role[:-1]} `{tensor['name']}`: {tensor['dtype']} {about}")
    lines += ["", "## Where it comes from", ""]
    facts = {"Model": card["fingerprint"], "Frames": data["frames"], **card["preprocessing"]}
    lines += [f"- {key}: {value}" for key, value in {**facts, **card["training"]}.items()]
    lines.append(f"- code version: {card['code_version']['trained'] or 'unknown'}")
    return "\n".join(lines) + "\n"
