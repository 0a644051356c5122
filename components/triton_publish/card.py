"""The model card: what a model is, how good it is, and where it comes from."""

from __future__ import annotations

from typing import Any

from components import __version__
from components.core.artifacts.evaluation import ClipMetrics, Evaluation
from components.core.artifacts.model_bundle import ModelBundle


def model_card(
    name: str, bundle: ModelBundle, evaluation: Evaluation, metrics: ClipMetrics
) -> dict[str, Any]:
    """The card as a JSON document; the same model and evaluation give the same card."""
    model = metrics.overall.model
    return {
        "name": name,
        "fingerprint": bundle.fingerprint,
        "task": bundle.task,
        "multi_label": bundle.multi_label,
        "classes": bundle.classes,
        "inputs": [tensor.model_dump() for tensor in bundle.inputs],
        "outputs": [tensor.model_dump() for tensor in bundle.outputs],
        "preprocessing": bundle.preprocessing,
        "architecture": bundle.architecture,
        "training": bundle.training,
        "data": {
            "clips": evaluation.parent if bundle.dataset == evaluation.dataset else "",
            "dataset": bundle.dataset,
            "split": bundle.split,
            "evaluated": evaluation.dataset,
        },
        "validation": bundle.metrics,
        "evaluation": {
            "fingerprint": evaluation.fingerprint,
            "part": evaluation.part,
            "clips": model.clips,
            "recordings": model.groups,
            "figures": model.figures,
            "intervals": {key: list(pair) for key, pair in model.intervals.items()},
            "confidence": metrics.confidence,
            "thresholds": metrics.thresholds,
            "notes": metrics.notes,
        },
        "code_version": {"trained": bundle.code_version, "published": __version__},
    }


def card_text(card: dict[str, Any]) -> str:
    """The card as Markdown, for people."""
    found = card["evaluation"]
    kind = "multi-label" if card["multi_label"] else "single-label"
    lines = [
        f"# {card['name']}",
        "",
        f"{kind.capitalize()} {card['task'].replace('_', ' ')}, {len(card['classes'])} classes: "
        f"{', '.join(card['classes'])}.",
        "",
        "## How good it is",
        "",
        f"On {found['clips']} clips of {found['recordings']} recordings ({found['part']} part):",
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
            about = " ".join(
                part
                for part in (
                    tensor["layout"],
                    tensor["meaning"],
                    f"{tensor['range'][0]:g} to {tensor['range'][1]:g}" if tensor["range"] else "",
                )
                if part
            )
            lines.append(
                f"- {role[:-1]} `{tensor['name']}`: {tensor['dtype']} {tensor['shape']} {about}"
            )
    if found["thresholds"]:
        pairs = zip(card["classes"], found["thresholds"], strict=True)
        direct = any(tensor["meaning"] == "probabilities" for tensor in card["outputs"])
        which = "its output" if direct else "sigmoid of its output"
        lines += ["", f"A class is given from the probability ({which}) of:", ""]
        lines += [f"- {name}: {value:.3f}" for name, value in pairs]
    lines += ["", "## Where it comes from", ""]
    facts = {"Model": card["fingerprint"], **card["data"], **card["preprocessing"]}
    lines += [f"- {key}: {value}" for key, value in {**facts, **card["training"]}.items()]
    lines.append(f"- code version: {card['code_version']['trained'] or 'unknown'}")
    return "\n".join(lines) + "\n"
