"""The model card: what a model is, how good it is, and where it comes from."""

from __future__ import annotations

from typing import Any

from components import __version__
from components.core.artifacts.model_bundle import ModelBundle
from components.core.detection.bundles import TASK, gives_detections
from components.core.rendering.bundles import TASK as RENDERING
from components.core.wording import counted
from components.triton_publish.judged import Judged


def model_card(name: str, bundle: ModelBundle, judged: Judged) -> dict[str, Any]:
    """The card as a JSON document; the same model and evaluation give the same card."""
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
        "data": judged.data(bundle),
        "validation": bundle.metrics,
        "evaluation": judged.section,
        "gives_detections": gives_detections(bundle),
        "code_version": {"trained": bundle.code_version, "published": __version__},
    }


def card_text(card: dict[str, Any]) -> str:
    """The card as Markdown, for people."""
    found = card["evaluation"]
    lines = [
        f"# {card['name']}",
        "",
        f"{_kind(card)}{_classes(card['classes'])}.",
        "",
        "## How good it is",
        "",
        f"On {_evaluated(found)} ({found['part']} part):",
        "",
        *_figures(found),
    ]
    if "classes" in found:
        lines += _class_table(found)
    if found["notes"]:
        lines += ["", "Before quoting a figure:", "", *(f"- {note}" for note in found["notes"])]
    lines += ["", "## Input and output", ""]
    for role in ("inputs", "outputs"):
        lines += [_tensor_line(role[:-1], tensor) for tensor in card[role]]
    if card["gives_detections"]:
        lines += _reading(card)
    elif found["thresholds"]:
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


def _figures(found: dict[str, Any]) -> list[str]:
    """A table, with intervals where the evaluation has some."""
    spans = found["intervals"]
    head = f" {found['confidence']:.0%} interval |" if spans else ""
    lines = [f"| figure | value |{head}", "|---|---|" + "---|" * bool(spans)]
    for key, value in found["figures"].items():
        pair = spans.get(key)
        span = f" {pair[0]:.3f} to {pair[1]:.3f} |" if pair else "  |" * bool(spans)
        lines.append(f"| {key.replace('_', ' ')} | {value:.4f} |{span}")
    return lines


def _kind(card: dict[str, Any]) -> str:
    what = str(card["task"]).replace("_", " ")
    if card["task"] in (TASK, RENDERING):
        return what.capitalize()
    return f"{'Multi' if card['multi_label'] else 'Single'}-label {what}"


def _classes(names: list[str]) -> str:
    return f", {len(names)} classes: {', '.join(names)}" if names else ""


def _evaluated(found: dict[str, Any]) -> str:
    recordings = f" of {found['recordings']} recordings" if "recordings" in found else ""
    if "frames" in found:
        return counted(found["frames"], "whole frame")
    if "images" not in found:
        return f"{found['clips']} clips{recordings}"
    annotations = counted(found["annotations"], "annotation")
    return f"{counted(found['images'], 'image')}{recordings} with {annotations}"


def _class_table(found: dict[str, Any]) -> list[str]:
    """The figures of each class; AP is COCO's, the others are at the class's threshold."""
    columns: tuple[str, ...] = ("ap", "ap50", "ap75", "threshold", "precision", "recall", "f1")
    about = "By class:"
    if "overlap" in found:
        about = (
            "By class, with precision, recall and F1 at the threshold and an overlap of "
            f"{found['overlap']:g}:"
        )
    else:
        columns = ("ap",)
    lines = [
        "",
        about,
        "",
        f"| class | annotations | {' | '.join(columns)} |",
        "|---" * (len(columns) + 2) + "|",
    ]
    for name, figures in found["classes"].items():
        values = (figures[column] for column in columns)
        shown = " | ".join("" if value is None else f"{value:.3f}" for value in values)
        lines.append(f"| {name} | {figures['annotations']} | {shown} |")
    return lines


def _tensor_line(role: str, tensor: dict[str, Any]) -> str:
    about = [tensor["layout"], tensor["meaning"]]
    if tensor["range"]:
        about.append(f"{tensor['range'][0]:g} to {tensor['range'][1]:g}")
    rest = " ".join(part for part in about if part)
    return f"- {role} `{tensor['name']}`: {tensor['dtype']} {tensor['shape']} {rest}"


def _reading(card: dict[str, Any]) -> list[str]:
    """How a client prepares images and reads a detector's answer."""
    size = card["preprocessing"]
    lines = ["", "The server is given images of any height and width:", ""]
    if size.get("tile_size"):
        lines.append(
            f"- cut into tiles of {size['tile_size']} pixels that share {size['tile_overlap']}"
        )
    if size.get("min_size"):
        limit = f", the longer at most {size['max_size']}" if size.get("max_size") else ""
        lines.append(f"- resized so that the shorter side has {size['min_size']} pixels{limit}")
    lines += [
        "- divided by 255, and not normalised: the model does that",
        "",
        "Boxes are left, top, right, bottom in pixels of that input, the best first. A label is "
        "the position in labels.txt, from 0; rows without a detection have the score 0 and the "
        "label -1. Boxes count from these scores on:",
        "",
    ]
    thresholds = card["evaluation"]["thresholds"]
    return lines + [f"- {name}: {value:.3f}" for name, value in thresholds.items()]
