"""The JSON settings file of the OBDB weed trainer, as parameters of `weed_detection`.

| there | here |
|---|---|
| full_hd, dataset_dir, excluded_frames | full_hd, images, excluded_images |
| annotations_list, annotations_list_full_hd or _4k (by full_hd) | tasks |
| default_class_map without `Background` | classes |
| variants | variants, in order |
| `<variant>`.optimal_hpo_settings, pretrained_model_path | variant_settings |
| `<variant>`.use_settings_file | variant_settings, from `<variant>_settings.json` |
| `<variant>`.run_hpo with hpo_parameters or sherpa_parameters | search_space, n_trials |
| max_num_trials, search_epochs, num_initial_data_points, hpo_timeout | n_trials, sweep_epochs, \
startup_trials, sweep_minutes |
| max_train_epochs, max_plateau_count | epochs, early_stop |

What the trainer does without being told is set too: annotations from its database, ImageNet
weights, SGD, and a rate that falls every step_size epochs. The keys in WITHOUT_EFFECT have none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.core.formats import weed_settings_checks
from components.core.settings import closest

MARKS = {
    "hpo_parameters",
    "sherpa_parameters",
    "max_train_epochs",
    "max_plateau_count",
    "annotations_list",
    "annotations_list_full_hd",
    "annotations_list_4k",
    "dataset_dir",
    "fake_dataset_len",
}
"""Keys of these files that are no parameter of ours; one beside `variants`, or two, tell one."""

FOUND_BY_SEARCH = {
    "lr": "learning_rate",
    "weight_decay": "weight_decay",
    "momentum": "momentum",
    "step_size": "step_size",
    "gamma": "gamma",
}
"""Their name of a setting that is searched → ours."""

ALWAYS: dict[str, Any] = {
    "origin": "database",
    "optimizer": "sgd",
    "schedule": "step",
    "warmup_epochs": 0,
    "pretrained": "imagenet",
}
"""What the trainer does whatever its settings are."""

OWN_WEIGHTS = {"retina_net": "coco"}
"""Variants that the trainer starts from other weights."""

WITHOUT_EFFECT = {
    "save_dir": "models and results are artifacts of the run",
    "writer_dir": "curves are in the model's log folder",
    "start_on_checkpoint": "a run that is started again continues by itself",
    "fake_dataset_len": "trials see the whole training part; use sweep_epochs to shorten them",
    "first_year_tasks": "give the tasks as parameter tasks",
    "auto_annotation_class_map": "a model has its classes with it",
    "first_year_class_map": "give the classes as parameter classes",
    "wasp_seg_class_map": "give the classes as parameter classes",
    "metrics_confidence_range": "figures are over all thresholds",
    "metrics_iou_range": "figures are over COCO's overlaps, 0.5 to 0.95",
    "metrics_confidence_range_small": "figures are over all thresholds",
    "metrics_iou_range_small": "figures are over COCO's overlaps, 0.5 to 0.95",
    "confidence_threshold_save_img": "the report chooses thresholds per class",
}
"""Their keys that nothing here reads → why."""

DIRECT = {
    "dataset_dir": "images",
    "excluded_frames": "excluded_images",
    "max_train_epochs": "epochs",
    "max_plateau_count": "early_stop",
}
SEARCH = {"max_num_trials": "n_trials", "search_epochs": "sweep_epochs"}

DEFAULT_SAVE_DIR = Path("/train")


def is_weed_settings(content: Any) -> bool:
    """Whether the content of a JSON file is that of a weed trainer's settings."""
    if not isinstance(content, dict):
        return False
    return len(MARKS & set(content)) >= (1 if isinstance(content.get("variants"), list) else 2)


def parameters(content: Mapping[str, Any], folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Parameters of `weed_detection`, and notes on what has no effect.

    Args:
        content: of the settings file.
        folder: where it lies; a variant's own settings file is looked for there first.

    Raises:
        ValueError: with everything in it that cannot be translated, one problem a line.
    """
    reading = _Reading(content, folder)
    found = reading.translated()
    if reading.problems:
        raise ValueError("\n".join(reading.problems))
    return found, reading.notes


class _Reading:
    def __init__(self, content: Mapping[str, Any], folder: Path) -> None:
        self._content, self.problems = weed_settings_checks.sound(content, FOUND_BY_SEARCH)
        self._folder = folder
        self.notes: list[str] = []

    def translated(self) -> dict[str, Any]:
        content = self._content
        names = [str(name) for name in content["variants"]]
        found: dict[str, Any] = {**ALWAYS, "variants": ", ".join(names)}
        if "full_hd" in content:
            found["full_hd"] = content["full_hd"]
        found |= {ours: content[key] for key, ours in DIRECT.items() if key in content}
        self._tasks_and_classes(found)
        own, searched = self._variants(names)
        if own:
            found["variant_settings"] = "; ".join(_said(name, own[name]) for name in own)
        if searched:
            self._search(found, searched, own)
            if len(names) > 1:
                alone = _said(searched, own[searched]) if searched in own else ""
                found["trial_settings"] = f"variants={searched}; variant_settings={alone}"
        self._rest(names)
        return found

    def _tasks_and_classes(self, found: dict[str, Any]) -> None:
        content = self._content
        by_size = "annotations_list_full_hd" if content.get("full_hd") else "annotations_list_4k"
        keys = [key for key in ("annotations_list", by_size) if content.get(key)]
        if keys:
            found["tasks"] = [str(task) for task in content[keys[0]]]
        if classes := content.get("default_class_map"):
            found["classes"] = [str(name) for name in classes if str(name) != "Background"]

    def _variants(self, names: list[str]) -> tuple[dict[str, dict[str, Any]], str]:
        """What variants have of their own, and the one whose settings are searched or ''."""
        own: dict[str, dict[str, Any]] = {}
        searched = []
        for name in names:
            about = self._content.get(name)
            if not isinstance(about, dict):
                self.problems.append(
                    f"variants: {name!r} has no object of its own in the file; add "
                    f'"{name}": {{"run_hpo": 0, "optimal_hpo_settings": {{...}}}}'
                )
                continue
            values = self._of_variant(name, about)
            if about.get("run_hpo"):
                searched.append(name)
            if values:
                own[name] = values
        if len(searched) > 1:
            self.problems.append(
                f"run_hpo: it is 1 for {', '.join(searched)}; one run searches the settings of one "
                "variant: keep it for one of them, and search the others in runs of their own"
            )
        return own, searched[0] if searched else ""

    def _of_variant(self, name: str, about: Mapping[str, Any]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        if weights := about.get("pretrained_model_path") or OWN_WEIGHTS.get(name):
            values["pretrained"] = weights
        if about.get("run_hpo"):
            return values
        given = about.get("optimal_hpo_settings")
        where = f"{name}.optimal_hpo_settings"
        if about.get("use_settings_file"):
            given, where = self._settings_file(name)
        if not isinstance(given, dict):
            if not about.get("use_settings_file"):
                self.problems.append(
                    f"{name}: run_hpo and use_settings_file are 0, so it needs "
                    "optimal_hpo_settings: {lr, weight_decay, momentum, step_size, gamma}"
                )
            return values
        for key, ours in FOUND_BY_SEARCH.items():
            if key not in given:
                continue
            if isinstance(given[key], bool) or not isinstance(given[key], int | float):
                self.problems.append(f"{where}.{key}: {given[key]!r} is no number")
            else:
                values[ours] = given[key]
        return values

    def _settings_file(self, name: str) -> tuple[Any, str]:
        """The settings that a search found earlier, and their file."""
        file = f"{name}_settings.json"
        places = [self._folder, DEFAULT_SAVE_DIR]
        for path in (place / file for place in places):
            if path.is_file():
                try:
                    return json.loads(path.read_text(encoding="utf-8")), str(path)
                except (OSError, ValueError) as error:
                    self.problems.append(f"{path} cannot be read: {error}")
                    return None, str(path)
        looked = " and ".join(str(place) for place in places)
        self.problems.append(
            f"{name}.use_settings_file: there is no {file} in {looked}; put it there, or set "
            "use_settings_file to 0 and give optimal_hpo_settings"
        )
        return None, ""

    def _search(
        self, found: dict[str, Any], name: str, own: Mapping[str, Mapping[str, Any]]
    ) -> None:
        content = self._content
        ranges = content.get("hpo_parameters") or content.get("sherpa_parameters")
        if not isinstance(ranges, dict):
            self.problems.append(
                f"{name}.run_hpo: there are no hpo_parameters (or sherpa_parameters) to search: "
                'give them, such as {"lr": [1e-5, 1e-2]}'
            )
            return
        space = {}
        for key, limits in ranges.items():
            if key not in FOUND_BY_SEARCH:
                hint = closest(key, FOUND_BY_SEARCH)
                self.problems.append(f"hpo_parameters.{key}: it cannot be searched{hint}")
            elif not isinstance(limits, list) or len(limits) != 2:
                self.problems.append(f"hpo_parameters.{key}: expected [low, high], not {limits!r}")
            else:
                whole = {} if key == "step_size" else {"log": True}
                space[FOUND_BY_SEARCH[key]] = {"low": limits[0], "high": limits[1], **whole}
        found["search_space"] = space
        found |= {ours: content[key] for key, ours in SEARCH.items() if key in content}
        if "n_trials" not in found:
            self.problems.append(f"{name}.run_hpo: max_num_trials is missing; give the trials")
        first = content.get("num_initial_data_points", "infer")
        if first != "infer":
            found["startup_trials"] = first
        if seconds := content.get("hpo_timeout"):
            found["sweep_minutes"] = float(seconds) / 60

    def _rest(self, names: list[str]) -> None:
        """Notes on keys that nothing reads."""
        read = {
            "variants",
            "full_hd",
            "default_class_map",
            "num_initial_data_points",
            "hpo_timeout",
            *names,
            *DIRECT,
            *SEARCH,
            *MARKS,
        } - set(WITHOUT_EFFECT)
        for key in self._content:
            hint = closest(key, {*read, *WITHOUT_EFFECT} - set(self._content))
            if key in WITHOUT_EFFECT:
                if self._content[key]:
                    self.notes.append(f"{key} has no effect: {WITHOUT_EFFECT[key]}")
            elif key not in read and (hint or not isinstance(self._content[key], dict)):
                self.notes.append(f"{key} is unknown and has no effect{hint}")


def _said(name: str, values: Mapping[str, Any]) -> str:
    """A variant's own settings as `variant_settings` has them."""
    return f"{name}: " + " ".join(f"{key}={value}" for key, value in values.items())
