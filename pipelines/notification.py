"""The last task of a pipeline on Kubeflow: tells a webhook how the run ended.

It is no stage: it has no inputs and keeps no work, and a project does not draw it. Whoever compiles
a pipeline asks for it, see `pipelines.building.BuildOptions`.
"""

from dataclasses import replace
from typing import Any

from kfp import dsl
from kfp.dsl import PipelineTaskFinalStatus

from components.core.images import image
from components.core.notify import KUBEFLOW_URL, WEBHOOK_VARIABLE
from pipelines.placement import KUBEFLOW_SECRET, Placement, SecretVariables, place


@dsl.component(base_image=image("data"), install_kfp_package=False)
def notify(pipeline: str, run: str, run_id: str, status: PipelineTaskFinalStatus) -> None:
    """Tells a webhook how a run ended.

    Args:
        pipeline: Its name.
        run: Name of the run.
        run_id: Id of the run, for the link to its page.
        status: How everything before ended.
    """
    from components.core.notify import notify_status

    notify_status(pipeline, run, run_id, status.state, status.error_message or "")


def notification(pipeline: str, secret: str, **shared: Any) -> Any:
    """The exit task that tells the webhook of a Secret; draw it in a pipeline.

    Args:
        pipeline: its name, for people.
        secret: name of the Kubernetes Secret that holds TRAINYARD_WEBHOOK_URL.
        shared: fields of its placement that it shares with every stage.
    """
    task = notify(
        pipeline=pipeline,
        run=dsl.PIPELINE_JOB_NAME_PLACEHOLDER,
        run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
    )
    secrets = [(secret, WEBHOOK_VARIABLE), (KUBEFLOW_SECRET, KUBEFLOW_URL)]
    read = tuple(SecretVariables(name, {key: key}, optional=True) for name, key in secrets)
    own = Placement(cpu="1", memory="1Gi", secrets=read, retries=0, cached=False)
    return place(task, replace(own, **shared))
