"""The report of a study: what the page says of real Optuna studies, the odd ones too."""

import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from components.core.artifacts.study import Study, Trial
from components.core.report.charts import standalone
from components.hpo_sweep.report import write_report

optuna.logging.set_verbosity(optuna.logging.CRITICAL)

SPACE: dict[str, Any] = {
    "learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
    "layers": {"low": 1, "high": 8},
    "optimizer": {"choices": ["adamw", "sgd"]},
}
BASE = {"learning_rate": 0.05, "layers": 4, "optimizer": "sgd", "epochs": 6}
SVG = "{http://www.w3.org/2000/svg}"
SECTIONS = [
    "Optimisation history",
    "Which settings matter",
    "Settings together",
    "Setting by setting",
    "While training",
]


class Page(HTMLParser):
    """Fails on tags that are not closed in order; collects text and what could be fetched."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str | None] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []
        self.text = " ".join(" ".join(self.words).split()).replace(" .", ".")

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        self.tags.append(tag)
        self.links += [v for k, v in attributes if k in ("src", "href", "srcset", "xlink:href")]
        if tag not in ("meta", "img", "br", "wbr"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: Any) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)


def objective(trial: optuna.Trial) -> float:
    """Best at learning_rate 0.01 and 5 layers with adamw; odd trials report epochs."""
    rate = trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)
    layers = trial.suggest_int("layers", 1, 8)
    choice = json.loads(trial.suggest_categorical("optimizer", ['"adamw"', '"sgd"']))
    far = abs(rate - 0.01) * 3 + abs(layers - 5) * 0.02 + (choice == "sgd") * 0.1
    for epoch in (1, 2, 3):
        trial.report((0.9 - far) * (1 - 0.5**epoch), epoch)
        if trial.number > 8 and far > 0.12 * epoch:
            raise optuna.TrialPruned
    if trial.number % 7 == 3:
        raise RuntimeError("out of memory")
    return 0.9 - far


def as_study(made: optuna.Study, space: dict[str, Any] = SPACE, **fields: Any) -> Study:
    states = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
    trials = [
        Trial(
            number=trial.number,
            state=states[trial.state.name],  # type: ignore[arg-type]
            value=trial.value,
            settings={
                name: json.loads(value) if isinstance(value, str) else value
                for name, value in trial.params.items()
            },
            intermediate=trial.intermediate_values,
            seconds=30.0,
            feasible=trial.user_attrs.get("feasible", True),
            error=trial.user_attrs.get("error", ""),
            metrics=trial.user_attrs.get("metrics", {}),
        )
        for trial in made.trials
    ]
    known: dict[str, Any] = {
        "name": "digits",
        "trainer": "train_video",
        "monitor": "val_macro_f1",
        "direction": made.direction.name.lower(),
        "search_space": space,
        "settings": BASE,
        "seed": 3,
        "sampler": "tpe",
        "pruner": "median",
        "trials": trials,
    }
    return Study.create(**known | fields)


def searched(trials: int = 40) -> optuna.Study:
    made = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=1))
    made.enqueue_trial({"learning_rate": 0.05, "layers": 4, "optimizer": '"sgd"'})
    made.optimize(objective, n_trials=trials, catch=(RuntimeError,))
    return made


def given(*trials: dict[str, Any], direction: str = "minimize") -> optuna.Study:
    """A study of the given trials, over one setting unless they say otherwise."""
    made = optuna.create_study(direction=direction)
    for fields in trials:
        params = fields.pop("params", {"rate": 0.5})
        ranges = {name: optuna.distributions.FloatDistribution(0, 1) for name in params}
        made.add_trial(create_trial(params=params, distributions=ranges, **fields))
    return made


def written(folder: Path, made: optuna.Study, study: Study) -> tuple[str, Page]:
    write_report(folder / "report.html", study, made)
    text = (folder / "report.html").read_text(encoding="utf-8")
    return text, Page(text)


def section(text: str, title: str) -> str:
    found = re.search(rf"<h2>{title}</h2>(.*?)</section>", text, re.DOTALL)
    assert found, f"no section {title!r}"
    return found[1]


def test_the_page_of_a_search_shows_all_of_it(tmp_path: Path) -> None:
    made = searched()
    study = as_study(made)
    text, page = written(tmp_path, made, study)
    best = study.best_trial
    assert best is not None
    assert best.number == made.best_trial.number
    base = made.trials[0].value
    assert f"Trial {best.number} is the best: val_macro_f1 {best.value:.4g}." in page.text
    assert f"The base settings reach {base:.4g}." in page.text
    for title in SECTIONS:
        assert "<svg" in section(text, title), title
    table = section(text, "Settings")
    for name in SPACE:
        value = best.settings[name]
        assert f"<b>{f'{value:.6g}' if isinstance(value, float) else value}</b>" in table
    assert "0.0001 to 0.1, logarithmic" in table
    assert "adamw, sgd" in table
    assert section(text, "All trials").count("<tr>") == 1 + len(study.trials)
    for state in ("complete", "pruned", "failed"):
        count = sum(trial.state == state for trial in study.trials)
        assert count > 0
        assert f"{state} {count} " in page.text


def test_the_page_is_whole_asks_for_nothing_from_outside_and_is_the_same_twice(
    tmp_path: Path,
) -> None:
    made = searched(20)
    text, page = written(tmp_path, made, as_study(made))
    assert page.links == []
    assert not {"link", "img", "iframe"} & {*page.tags}
    assert "http" not in text
    assert "url(" not in text
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"\b(nan|inf|None)\b", text)
    drawings = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(drawings) == 4 + len(SPACE)
    for drawing in drawings:
        ElementTree.fromstring(standalone(drawing))
    assert not re.search(r'"#|fill="(?!none)|rgb\(\d', "".join(drawings))  # colours are variables
    assert written(tmp_path, made, as_study(made))[0] == text


def test_charts_show_every_trial_where_it_belongs(tmp_path: Path) -> None:
    made = searched()
    study = as_study(made)
    text, _ = written(tmp_path, made, study)
    complete = [trial for trial in study.trials if trial.state == "complete"]
    pruned = [trial for trial in study.trials if trial.state == "pruned"]
    history = section(text, "Optimisation history")
    assert history.count('<circle class="c1"') == len(complete)
    together = ElementTree.fromstring(
        standalone(re.findall("<svg.*</svg>", section(text, "Settings together"))[0])
    )
    lines = [*together.iter(f"{SVG}polyline")]
    assert len(lines) == len(complete)
    assert sum("c3" in str(line.get("class")) for line in lines) == 1
    assert "c3" in str(lines[-1].get("class")), "the best lies on top"
    assert all(len(str(line.get("points")).split()) == len(SPACE) + 1 for line in lines)
    assert section(text, "While training").count('<circle class="c2"') == len(pruned)
    importance = section(text, "Which settings matter")
    shares = [float(share) for share in re.findall(r">(0\.\d{3})<", importance)]
    assert len(shares) == len(SPACE)
    assert sum(shares) == pytest.approx(1, abs=0.002)
    names = re.findall(r'<text class="name"[^>]*>(\w+)<', importance)
    assert {*names} == {*SPACE}
    assert names[0] == "optimizer", "adamw is better by more than all of the rest"


def test_without_trials_the_base_settings_pass_through(tmp_path: Path) -> None:
    made = optuna.create_study()
    text, page = written(tmp_path, made, as_study(made))
    assert "No trial was made, so the best settings are the base settings." in page.text
    assert "<svg" not in text
    assert "All trials" not in text
    assert "0.05" in section(text, "Settings")


def test_without_trials_and_space_there_is_still_a_page(tmp_path: Path) -> None:
    made = optuna.create_study()
    text, page = written(tmp_path, made, as_study(made, {}, settings={}))
    assert "No trial was made" in page.text
    assert "<h2>Settings</h2>" not in text


def test_a_single_trial_leaves_charts_out_with_a_sentence(tmp_path: Path) -> None:
    made = given({"value": 0.4, "intermediate_values": {1: 0.6}})
    text, page = written(tmp_path, made, as_study(made, {"rate": {"low": 0.0, "high": 1.0}}))
    assert "<svg" in section(text, "Optimisation history")
    for title in SECTIONS[1:]:
        assert "<svg" not in section(text, title), title
        assert "<p>" in section(text, title), title
    assert "Only 1 complete trial:" in page.text
    assert "edge" not in page.text


@pytest.mark.parametrize("error", ["CUDA out of memory <b>", ""])
def test_failed_trials_are_told_with_their_commonest_error(tmp_path: Path, error: str) -> None:
    other = {"state": TrialState.FAIL, "user_attrs": {"error": "once"}}
    failed = [{"state": TrialState.FAIL, "user_attrs": {"error": error}} for _ in range(2)]
    made = given(*failed, *([other] if error else []))
    text, page = written(tmp_path, made, as_study(made, {"rate": {"low": 0.0, "high": 1.0}}))
    count = len(made.trials)
    assert f"No trial is complete ({count} failed)" in page.text
    told = f", most often with: {error}." if error else "."
    assert f"{count} trials of {count} failed{told}" in html.unescape(page.text)
    assert "No best trial: training goes on with the base settings." in page.text
    assert "<svg" not in text


def test_only_pruned_trials_still_show_their_curves(tmp_path: Path) -> None:
    made = given(
        {"state": TrialState.PRUNED, "value": 3.0, "intermediate_values": {1: 4.0, 2: 3.0}},
        {"state": TrialState.FAIL},
    )
    text, page = written(tmp_path, made, as_study(made, {"rate": {"low": 0.0, "high": 1.0}}))
    assert "No trial is complete (1 failed and 1 pruned)" in page.text
    assert "<svg" in section(text, "While training")
    assert "<svg" not in section(text, "Optimisation history")


def test_trials_that_miss_the_constraints_are_never_the_best(tmp_path: Path) -> None:
    missed = {"value": 0.1, "user_attrs": {"feasible": False}}
    made = given({**missed}, {"value": 0.5, "params": {"rate": 0.6}})
    text, page = written(tmp_path, made, as_study(made, {"rate": {"low": 0.0, "high": 1.0}}))
    assert "Trial 1 is the best" in page.text
    assert "complete, misses a constraint" in text
    assert "miss a constraint 1" in page.text
    made = given({**missed})
    _, page = written(tmp_path, made, as_study(made, {"rate": {"low": 0.0, "high": 1.0}}))
    assert "1 complete trial, and none keeps the constraints" in page.text


@pytest.mark.parametrize(
    ("space", "value", "end"),
    [
        ({"low": 1e-4, "high": 1e-1, "log": True}, 9.9e-2, "upper"),
        ({"low": 1e-4, "high": 1e-1, "log": True}, 2e-3, ""),
        ({"low": 0.0, "high": 1.0}, 0.001, "lower"),
        ({"low": 0.0, "high": 1.0}, 0.05, ""),
        ({"low": 1, "high": 5}, 5, "upper"),
        ({"low": 1, "high": 2}, 2, ""),
        ({"low": 16, "high": 64, "step": 16}, 16, "lower"),
        ({"choices": [1, 2]}, 2, ""),
    ],
)
def test_a_best_value_at_the_edge_of_its_range_is_told(
    tmp_path: Path, space: dict[str, Any], value: float, end: str
) -> None:
    made = given({"value": 0.5}, {"value": 0.6})
    trials = [
        Trial(number=0, state="complete", value=0.5, settings={"x": value}),
        Trial(number=1, state="complete", value=0.6, settings={"x": value}),
    ]
    _, page = written(tmp_path, made, as_study(made, {"x": space}, trials=trials))
    assert (f"is at the {end} edge of its range" in page.text) == bool(end)
    assert ("widen the range" in page.text) == bool(end)


def test_equal_values_are_told_in_place_of_importances(tmp_path: Path) -> None:
    made = given(*({"value": 0.5, "params": {"a": n / 20, "b": 1 - n / 20}} for n in range(12)))
    space = {name: {"low": 0.0, "high": 1.0} for name in "ab"}
    text, page = written(tmp_path, made, as_study(made, space))
    assert "All complete trials have the same val_macro_f1" in page.text
    assert "<svg" not in section(text, "Which settings matter")
    assert "<svg" in section(text, "Settings together")
    assert "edge" not in page.text


def test_a_search_that_does_not_beat_the_base_settings_says_so(tmp_path: Path) -> None:
    made = given({"value": 0.2}, {"value": 0.3, "params": {"rate": 0.7}})
    space = {"rate": {"low": 0.0, "high": 1.0}}
    _, page = written(tmp_path, made, as_study(made, space, settings={"rate": 0.5}))
    assert "No trial is better than the base settings." in page.text


def test_a_diverged_trial_does_not_squeeze_the_charts(tmp_path: Path) -> None:
    values = [0.5, 0.4, 0.6, 0.45, 3e7]
    made = given(*({"value": v, "params": {"rate": n / 5}} for n, v in enumerate(values)))
    text, page = written(tmp_path, made, as_study(made, {"rate": {"low": 0.0, "high": 1.0}}))
    assert section(text, "Optimisation history").count('<circle class="c1"') == 4
    assert "1 trial with a far worse val_macro_f1 than most is left out of the charts" in page.text
    assert "3e+07" in section(text, "All trials")


def test_categorical_settings_of_any_kind_are_drawn_and_escaped(tmp_path: Path) -> None:
    space = {"crop": {"choices": [True, [1, 2], "<i>&", None]}, "flip": {"choices": [0, 1.5]}}
    trials = [
        Trial(
            number=number,
            state="complete",
            value=number / 10,
            settings={"crop": space["crop"]["choices"][number % 4], "flip": [0, 1.5][number % 2]},
        )
        for number in range(8)
    ]
    made = optuna.create_study()
    for trial in trials:
        stored = {name: json.dumps(value) for name, value in trial.settings.items()}
        ranges = {
            name: optuna.distributions.CategoricalDistribution(
                [json.dumps(choice) for choice in space[name]["choices"]]
            )
            for name in stored
        }
        made.add_trial(create_trial(value=trial.value, params=stored, distributions=ranges))
    text, page = written(tmp_path, made, as_study(made, space, trials=trials))
    assert "true, [1, 2], <i>&, null" in page.text
    assert "<i>&" not in text
    for title in SECTIONS[:4]:
        assert "<svg" in section(text, title), title


def test_validation_figures_and_workers_have_columns(tmp_path: Path) -> None:
    trials = [
        Trial(number=0, state="complete", value=0.5, settings={"x": 0.5}, metrics={"val_loss": 2}),
        Trial(number=1, state="failed", value=None, settings={"x": 0.1}, worker=3),
        Trial(number=2, state="complete", value=0.4, settings={"x": 0.1}, worker=3, retry_of=1),
    ]
    made = given({"value": 0.5}, {"state": TrialState.FAIL}, {"value": 0.4})
    space = {"x": {"low": 0.0, "high": 1.0}}
    text, page = written(tmp_path, made, as_study(made, space, trials=trials))
    table = section(text, "All trials")
    heads = re.findall(r"<th[^>]*>([^<]*)</th>", table)
    assert heads == [
        *("trial", "state", "val_macro_f1", "x", "val_loss", "epochs", "seconds", "worker", "error")
    ]
    assert "complete, best, repeats 1" in re.sub("</?b>", "", table)
    assert "2 workers" in page.text
