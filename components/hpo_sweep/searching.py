"""One worker of a sweep: it takes trials of the study, one after the other, until all are done."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import DuplicatedStudyError
from optuna.trial import FrozenTrial, TrialState

from components.core.artifacts import base
from components.core.artifacts.study import JOURNAL, REPORT, Study, Trial
from components.core.errors import ServiceError, SettingsError, TrainyardError
from components.core.stage import Job
from components.core.state import digest
from components.hpo_sweep import search
from components.hpo_sweep.bounds import violations
from components.hpo_sweep.plan import SweepPlan
from components.hpo_sweep.report import write_report
from components.hpo_sweep.stage import SweepSettings
from components.hpo_sweep.storage import (
    VARIABLE,
    WORKER,
    JournalFile,
    Storage,
    copy_to_journal,
    open_storage,
    retry,
)
from components.hpo_sweep.trainer import PrunedError, TrainerEndedError, TrialError

WAIT_SECONDS = 2.0
"""Between looks at what other workers do."""

PROGRESS_SECONDS = 2.0
"""Between words about the epochs of a trial."""

HOPELESS = 3
"""So many failed trials without any other end the sweep."""

DEFINITION, METRICS, ERROR = "definition", "metrics", "error"
"""Attributes of studies and trials."""

FIXED = "fixed_params"
"""Optuna's attribute of a trial from the queue: the values it was put there with."""

optuna.logging.set_verbosity(optuna.logging.WARNING)


def run(settings: SweepSettings, job: Job) -> None:
    """See `stage.hpo_sweep`."""
    import psycopg2
    from sqlalchemy.exc import SQLAlchemyError

    plan, problems = SweepPlan.of(settings)
    if plan is None:
        raise SettingsError([text for p in problems for text in getattr(p, "problems", [str(p)])])
    inputs = {name: base.fingerprint(path) for name, path in job.inputs.items()}
    definition = digest([plan.definition, inputs], 16)
    name = settings.study_name or f"{settings.trainer}-{definition}"
    folder = job.work.parent.parent / "studies" / digest(name, 16)
    if settings.n_trials:
        storage = open_storage(folder / "journal.log", settings.heartbeat_seconds)
        shared = os.environ.get(VARIABLE)
        how = f"{VARIABLE}=… trainyard dashboard" if shared else f"trainyard dashboard {folder}"
        job.report.message(f"study {name}; to watch: {how}")
    else:  # what an earlier search found is no business of this run
        storage = JournalFile(job.work / "nothing" / "journal.log")
    try:
        worker = Worker(plan, job, storage, name, definition, folder)
        worker.work()
        study = worker.result()
        _write(study, worker.study, job)
    except (psycopg2.Error, SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        text = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise ServiceError(
            f"the study's database failed: {text}; run again when it is back, nothing is lost"
        ) from None


class Worker:
    """Works on one study."""

    def __init__(
        self, plan: SweepPlan, job: Job, storage: Storage, name: str, definition: str, folder: Path
    ) -> None:
        self._plan = plan
        self._settings = plan.settings
        self._job = job
        self._storage = storage
        self._folder = folder
        self._inputs = plan.trainer_inputs(job.inputs)
        self._told = 0.0
        self.study = self._open(name, definition)

    def work(self) -> None:
        """Takes trials until enough are finished, by whomever."""
        wanted = self._settings.n_trials
        minutes = self._settings.sweep_minutes
        deadline = time.monotonic() + 60 * minutes if minutes else float("inf")
        waiting = False
        while wanted:
            self._progress()
            if time.monotonic() > deadline:
                self._job.report.message(
                    f"sweep_minutes: no trial begins after {minutes:g} minutes"
                )
                return
            if self._take_one(wanted):
                waiting = False
                self._refuse_hopeless()
                continue
            running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
            if not running:
                return
            if not waiting:
                waiting = True
                numbers = ", ".join(str(trial.number) for trial in running)
                self._job.report.message(f"waiting for other workers' trials: {numbers}")
            time.sleep(WAIT_SECONDS)

    def result(self) -> Study:
        """The study as it is now."""
        plan, settings = self._plan, self._settings
        names = {dimension.name: dimension for dimension in plan.dimensions}
        trials = [_recorded(t, names) for t in self.study.trials if t.state.is_finished()]
        return Study.create(
            name=self.study.study_name,
            trainer=settings.trainer,
            monitor=plan.monitor,
            direction=plan.direction,
            search_space={name: dimension.describe() for name, dimension in names.items()},
            settings={**plan.start, **plan.base},
            seed=settings.seed,
            sampler=settings.sampler,
            pruner=settings.pruner,
            trials=trials,
        )

    def _open(self, name: str, definition: str) -> optuna.Study:
        """Makes the study, or finds the one that another worker or an earlier run made."""
        plan, settings = self._plan, self._settings
        with self._storage.claim(name):
            try:
                study = optuna.create_study(
                    study_name=name, storage=self._storage.studies, direction=plan.direction
                )
            except DuplicatedStudyError:
                study = optuna.load_study(study_name=name, storage=self._storage.studies)
            found = study.user_attrs.get(DEFINITION)
            if found in (None, definition):
                self._fill_queue(study, new=found is None)
            if found is None:  # new, or its maker died before all was in the queue
                study.set_user_attr(DEFINITION, definition)
            elif found != definition:
                raise SettingsError(
                    [
                        f"study_name: {name!r} searches something else (other data, settings, "
                        "space, sampler or seed); give another study_name, or none"
                    ],
                    "the sweep",
                )
            died = self._storage.recover(study)
        study.pruner = search.pruner(settings.pruner, plan.epochs)
        begun = len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))
        if begun:
            self._job.report.message(f"continuing the study: {begun} trials are complete")
        if died:
            self._job.report.message(f"{died} trials of workers that died are tried again")
        return study

    def _fill_queue(self, study: optuna.Study, new: bool) -> None:
        """Puts what is tried without a sampler into the queue; of a grid so much as is wanted."""
        plan, settings = self._plan, self._settings
        if not new and settings.sampler != "grid":
            return
        names = {dimension.name: dimension for dimension in plan.dimensions}
        first = search.first_trials(settings.sampler, plan.dimensions, plan.initial, settings.seed)
        wanted = first[: settings.n_trials] if settings.sampler == "grid" else first
        trials = study.get_trials(deepcopy=False)
        known = {digest(trial.system_attrs.get(FIXED, {})) for trial in trials}
        for trial in wanted:
            stored = {name: names[name].stored(value) for name, value in trial.items()}
            if digest(stored) not in known:
                known.add(digest(stored))
                study.enqueue_trial(stored)

    def _take_one(self, wanted: int) -> bool:
        """Runs one trial, if one may be begun; says whether."""
        with ExitStack() as alive, ExitStack() as claim:
            claim.enter_context(self._storage.claim(self.study.study_name))
            self._storage.recover(self.study)
            if search.still_free(self.study, wanted) <= 0:
                return False
            if self._grid_is_done():
                return False
            settings = self._settings
            self.study.sampler = search.sampler(
                settings.sampler,
                settings.seed,
                search.begun(self.study),
                settings.startup_trials,
            )

            begun: list[int] = []

            def objective(trial: optuna.Trial) -> float:
                begun.append(trial.number)
                alive.enter_context(self._storage.alive(self.study.study_name, trial.number))
                trial.set_user_attr(WORKER, settings.worker)
                chosen = {d.name: d.suggest(trial) for d in self._plan.dimensions}
                claim.close()
                return self._try(trial, chosen)

            try:
                self.study.optimize(objective, n_trials=1, catch=(TrialError,))
            except TrainerEndedError as error:
                self._job.report.warn(f"trial {begun[0]}: {error}")
                self._give_back(begun[0])
            except BaseException as error:
                claim.close()
                if begun and _is_taken_over(error, self.study, begun[0]):
                    self._job.report.warn(
                        f"trial {begun[0]}: another worker has taken it over, because this one was "
                        "silent for too long"
                    )
                    return True
                for number in begun:
                    self._give_back(number)
                raise
        return True

    def _grid_is_done(self) -> bool:
        if self._settings.sampler != "grid":
            return False
        return not self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))

    def _try(self, trial: optuna.Trial, chosen: Mapping[str, Any]) -> float:
        """Trains as often as wanted; returns the mean of the monitored figure.

        Raises:
            optuna.TrialPruned: it was given up.
            TrialError: it failed.
        """
        figures: list[dict[str, float]] = []
        try:
            for repeat in range(self._settings.repeats):
                figures.append(self._train(trial, chosen, repeat))
        except PrunedError:
            self._say(trial.number, "given up", chosen)
            raise optuna.TrialPruned from None
        except TrialError as error:
            trial.set_user_attr(ERROR, str(error))
            self._job.report.warn(f"trial {trial.number} failed: {error}")
            raise
        means = {
            name: sum(each[name] for each in figures) / len(figures)
            for name in figures[0]
            if all(name in each for each in figures)
        }
        trial.set_user_attr(METRICS, means)
        missed = violations(self._settings.constraints, means)
        trial.set_user_attr(search.VIOLATIONS, missed)
        for bound, by in missed.items():
            trial.set_constraint(bound, by)
        value = means[self._plan.monitor]
        self._say(trial.number, f"{self._plan.monitor} {value:.4g}", chosen)
        return value

    def _train(
        self, trial: optuna.Trial, chosen: Mapping[str, Any], repeat: int
    ) -> dict[str, float]:
        """One training; its validation figures."""
        monitor = self._plan.monitor
        number = trial.number

        def on_metrics(epoch: int, values: Mapping[str, float]) -> bool:
            if monitor not in values:
                return False
            note = f"trial {number}, epoch {epoch}: {monitor} {values[monitor]:.4g}"
            if time.monotonic() - self._told >= PROGRESS_SECONDS:  # to count trials costs queries
                self._progress(note)
            if repeat:
                return False
            trial.report(values[monitor], epoch)
            return trial.should_prune()

        again = f"-{repeat}" if repeat else ""
        bundle = self._plan.trainer.run(
            self._plan.training(chosen, repeat),
            self._inputs,
            self._folder / "trials" / f"{number}{again}",
            self._folder / "training",
            on_metrics,
        )
        if monitor not in bundle.metrics:
            known = ", ".join(sorted(bundle.metrics)) or "none"
            raise TrialError(f"monitor: the model has no figure {monitor!r}; it has: {known}")
        return bundle.metrics

    def _give_back(self, number: int) -> None:
        """Puts a trial that was stopped into the queue, for whoever runs next."""
        study = self.study
        with self._storage.claim(study.study_name):
            if not study.trials[number].state.is_finished():
                study.tell(number, state=TrialState.FAIL)
            failed = study.trials[number].state == TrialState.FAIL
            if failed and not search.is_retried(study, number):
                retry(study, study.trials[number], limit=None)
                self._job.report.message(f"trial {number} goes on where it stopped, later")

    def _refuse_hopeless(self) -> None:
        finished = [t for t in self.study.get_trials(deepcopy=False) if t.state.is_finished()]
        failed = [t for t in finished if ERROR in t.user_attrs]
        if len(finished) == len(failed) >= min(HOPELESS, self._settings.n_trials):
            reasons = dict.fromkeys(str(trial.user_attrs[ERROR]) for trial in failed)
            raise TrainyardError(
                f"each of the first {len(failed)} trials failed; the sweep ends: "
                + "; ".join(reasons)
            )

    def _progress(self, note: str = "") -> None:
        self._told = time.monotonic()
        done = self._settings.n_trials - search.still_free(self.study, self._settings.n_trials)
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        self._job.report.progress(done - len(running), self._settings.n_trials, "trials", note)

    def _say(self, number: int, what: str, chosen: Mapping[str, Any]) -> None:
        best = search.best_trial(self.study)
        shown = ", ".join(f"{name} {_short(value)}" for name, value in chosen.items())
        so_far = f" (best so far {best.value:.4g}, trial {best.number})" if best else ""
        self._job.report.message(f"trial {number}: {what}{so_far}; {shown}")


def _is_taken_over(error: BaseException, study: optuna.Study, number: int) -> bool:
    """Whether an error says no more than that somebody else has ended the trial."""
    told = isinstance(error, ValueError | optuna.exceptions.UpdateFinishedTrialError)
    return told and search.is_retried(study, number)


def _write(study: Study, kept: optuna.Study, job: Job) -> None:
    folder = job.outputs["study"]
    folder.mkdir()
    copy_to_journal(kept, folder / JOURNAL)
    write_report(folder / REPORT, study, kept)
    study.write(folder)
    finished = [trial for trial in study.trials if trial.state == "complete"]
    job.metadata["study"] = {"trials": len(study.trials), "complete": len(finished)}
    best = study.best_trial
    if best is not None:
        job.metadata["study"] |= {"best_trial": best.number, f"best_{study.monitor}": best.value}
        shown = ", ".join(f"{name}={_short(value)}" for name, value in best.settings.items())
        job.report.message(f"best of {len(finished)}: trial {best.number}, {shown}")
    elif study.trials:
        job.report.warn(
            "no trial is complete and keeps the constraints; the settings stay as they are"
        )


def _recorded(trial: FrozenTrial, names: Mapping[str, Any]) -> Trial:
    states = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned"}
    attributes = trial.user_attrs
    history = trial.system_attrs.get(search.RETRIED) or [None]
    return Trial(
        number=trial.number,
        state=states.get(trial.state, "failed"),
        value=trial.value,
        settings={k: names[k].restored(v) for k, v in trial.params.items() if k in names},
        metrics=attributes.get(METRICS, {}),
        intermediate=trial.intermediate_values,
        seconds=round(trial.duration.total_seconds(), 3) if trial.duration else 0.0,
        feasible=search.is_feasible(trial),
        worker=attributes.get(WORKER, 0),
        retry_of=history[-1],
        error=attributes.get(
            ERROR, "" if trial.state in states else "its worker was stopped or died"
        ),
    )


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
