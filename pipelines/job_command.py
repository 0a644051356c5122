"""`trainyard job`: one stage as a Kubernetes Job, printed, applied, followed."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from components.core.errors import SettingsError
from pipelines import catalog
from pipelines.placement_options import placed, stage_options

if TYPE_CHECKING:
    from components.core.settings import Settings
    from components.core.stage import Stage
    from pipelines.jobs import Document
    from pipelines.placement import Placement


def _complete_stage(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    return [CompletionItem(name) for name in catalog.stages() if name.startswith(incomplete)]


@click.command(name="job")
@click.argument("stage", metavar="STAGE", shell_complete=_complete_stage)
@click.argument("assignments", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("-f", "--file", "files", multiple=True, help="YAML file with settings; repeatable.")
@click.option(
    "--input", "inputs", multiple=True, metavar="NAME=PATH", help="Input and where it lies."
)
@click.option(
    "--output", "outputs", multiple=True, metavar="NAME=PATH", help="Output and where it goes."
)
@stage_options
@click.option("--image", default="", help="Image, with a version tag or digest  [the stage's]")
@click.option("--name", default="", help="Of the Job  [default: from stage and content]")
@click.option("--state-dir", default="", help="Where work is kept  [default: first volume/state]")
@click.option("--dry-run", is_flag=True, help="Check everything and print the YAML (the default).")
@click.option("--apply", "applied", is_flag=True, help="Create the Job, or find the same one.")
@click.option("--follow", is_flag=True, help="With --apply: show its log until it ends.")
def job_command(
    stage: str,
    assignments: tuple[str, ...],
    files: tuple[str, ...],
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    image: str,
    name: str,
    state_dir: str,
    dry_run: bool,
    applied: bool,
    follow: bool,
    **options: Any,
) -> None:
    """Run one STAGE as a Kubernetes Job; without --apply its YAML is printed.

    The Job resumes after evictions: its state lies on the first --pvc. The same command again finds
    the same Job, and takes the place of one that failed.
    """
    if dry_run and (applied or follow):
        raise SettingsError(["--dry-run and --apply exclude each other"], "the command line")
    if follow and not applied:
        raise SettingsError(["--follow needs --apply"], "the command line")
    wanted = _Wanted(catalog.require_stage(stage), name, image, state_dir, options)
    documents = wanted.documents(files, assignments, inputs, outputs)
    if not applied:
        from pipelines.jobs import as_yaml
        from pipelines.node_groups import created

        click.echo(as_yaml(documents), nl=False)
        if others := created(documents[-1]):
            text = f"The pods that train, which the Job itself creates:\n{as_yaml(others)}"
            click.echo("".join(f"# {line}".rstrip() + "\n" for line in text.splitlines()), nl=False)
        return
    from pipelines.backends.prp import run_job

    raise SystemExit(run_job(documents, options["namespace"], follow))


class _Wanted:
    """Collects every problem of a request before anything is rendered for good."""

    def __init__(
        self, stage: str, name: str, image: str, state_dir: str, options: dict[str, Any]
    ) -> None:
        from pipelines import plan

        self._stage: Stage[Any] = plan.load_stage(stage)
        self._name, self._image, self._state_dir = name, image, state_dir
        self._options = options
        self._found: list[str] = []

    def documents(
        self,
        files: tuple[str, ...],
        assignments: tuple[str, ...],
        inputs: tuple[str, ...],
        outputs: tuple[str, ...],
    ) -> list[Document]:
        """The ConfigMap and the Job.

        Raises:
            SettingsError: with everything that is wrong with settings, places and placement.
        """
        from pipelines import job_rules
        from pipelines.job_places import device_problems, path_problems
        from pipelines.jobs import StageJob, stage_documents
        from pipelines.node_groups import created, lead, node_problems
        from pipelines.placement_rules import namespace_problem

        placement = self._placement()
        root = placement.volumes[0].path if placement.volumes else ""
        job = StageJob(
            stage=self._stage,
            image=self._reference(),
            settings=self._settings(files, assignments),
            inputs=self._places("input", inputs),
            outputs=self._places("output", outputs),
            placement=placement,
            state_dir=self._state_dir or (str(PurePosixPath(root, "state")) if root else ""),
            name=self._name,
            namespace=self._options["namespace"],
        )
        self._found += path_problems(job) if root else [_NO_VOLUME]
        self._found += device_problems(job.settings, placement)
        if problem := namespace_problem(job.namespace):
            self._found.append(f"--namespace: {problem}")
        self._found += node_problems(job.stage.name, placement)
        documents = stage_documents(lead(job))
        findings = job_rules.check([*documents, *created(documents[-1])])
        for warning in job_rules.warnings(findings):
            click.echo(warning, err=True)
        self._found += [f for f in job_rules.errors(findings) if root or _NO_STATE not in f]
        if self._found:
            raise SettingsError(list(dict.fromkeys(self._found)), f"the Job of {job.stage.name}")
        return documents

    def _placement(self) -> Placement:
        from pipelines.placement import PRP_PLACEMENTS, Placement

        base = PRP_PLACEMENTS.get(self._stage.name, Placement())
        placement, problems = placed(base, self._options)
        self._found += problems
        return placement

    def _reference(self) -> str:
        from components.core.images import image
        from pipelines import plan

        return self._image or image(
            plan.image_of(self._stage.name), self._options["image_registry"]
        )

    def _settings(self, files: tuple[str, ...], assignments: tuple[str, ...]) -> Settings:
        from components.core.command_line import text_fields
        from components.core.settings import build, parse_assignments, read_file

        model = self._stage.settings
        values: dict[str, Any] = {}
        for path in files:
            try:
                values |= read_file(path)
            except SettingsError as error:
                self._found += [f"{path}: {problem}" for problem in error.problems]
        try:
            values |= parse_assignments(assignments, text_fields(model))
        except SettingsError as error:
            self._found += error.problems
        try:
            built: Settings = build(model, values)
        except SettingsError as error:
            self._found += error.problems
            built = model.model_construct(**values)  # good enough to check the rest
        return built

    def _places(self, kind: str, pairs: tuple[str, ...]) -> dict[str, str]:
        from components.core.settings import closest

        known = self._stage.inputs if kind == "input" else self._stage.outputs
        places: dict[str, str] = {}
        for pair in pairs:
            name, separator, path = pair.partition("=")
            if not separator or not path:
                self._found.append(f"--{kind} {pair}: expected NAME=PATH")
            elif name not in known:
                hint = closest(name, known)
                self._found.append(
                    f"--{kind} {name}: {self._stage.name} has no such {kind}{hint} "
                    f"(accepted: {', '.join(known) or 'none'})"
                )
            elif name in places:
                self._found.append(
                    f"--{kind} {name}: given twice ({places[name]} and {path}); give it once"
                )
            else:
                places[name] = path
        if kind == "input":
            missing = [name for name in known if name not in {*places, *self._stage.optional}]
            self._found += [f"--input {name}=PATH is missing: {known[name]}" for name in missing]
        elif known and not pairs:
            self._found.append(f"give at least one --output NAME=PATH of {', '.join(known)}")
        return places


_NO_VOLUME = (
    "--pvc is missing: without a volume nothing outlives the pod; give --pvc CLAIM or "
    "--pvc CLAIM:/path"
)
_NO_STATE = "outlives the pod"
