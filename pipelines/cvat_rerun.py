"""One task is annotated once more by a better model; what people drew stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from components.core.wording import counted

if TYPE_CHECKING:
    from components.auto_annotate.stage import AnnotateSettings
    from components.core.cvat import Cvat


@dataclass
class Rerun:
    """The stage auto_annotate for one task, with the boxes that it will replace."""

    settings: AnnotateSettings
    name: str
    frames: int
    automatic: int
    """Boxes that a model drew."""
    others: int
    """Shapes and tracks that stay."""
    inputs: dict[str, Path]

    @classmethod
    def planned(
        cls,
        server: Cvat,
        task: str,
        model: Path,
        evaluation: Path,
        assignments: Sequence[str] = (),
    ) -> Rerun:
        """What will be done with the task of this number or name.

        Raises:
            TrainyardError: there is no such task, or wrong settings.
        """
        from components.auto_annotate.sources import AUTOMATIC
        from components.auto_annotate.stage import AnnotateSettings
        from components.core.command_line import text_fields
        from components.core.detection.task_lookup import lookup
        from components.core.settings import build, parse_assignments

        info = lookup(server.tasks(), [task])[0]
        given = parse_assignments(assignments, text_fields(AnnotateSettings))
        fixed = {
            "cvat_task": info.id,
            "upload": True,
            "upload_to": "same",
            "replace_automatic": True,
        }
        settings = build(AnnotateSettings, {**given, **fixed}, "auto_annotate")
        whole = server.task(info.id)
        automatic = sum(shape.get("source") in AUTOMATIC for shape in whole.shapes)
        return cls(
            settings,
            f"{info.id} {info.name}",
            len(whole.frames) - len(whole.deleted),
            automatic,
            len(whole.shapes) + len(whole.tracks) - automatic,
            {"model": model, "evaluation": evaluation},
        )

    def __str__(self) -> str:
        return (
            f"annotating task {self.name} again: {counted(self.frames, 'frame')}; "
            f"{counted(self.automatic, 'box', 'boxes')} of a model will be replaced, "
            f"{self.others} others stay"
        )

    def carry_out(self, output: Path | None = None) -> None:
        """Runs the stage; `output`: for its files and report."""
        from components.auto_annotate.stage import STAGE

        outputs = {"annotated": output} if output else {}
        STAGE.execute(self.settings, self.inputs, outputs)
