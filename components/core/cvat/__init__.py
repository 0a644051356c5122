"""The annotation server CVAT (2.x), through its official SDK.

    cvat = Cvat.from_environment()
    cvat.check()
    for info in cvat.tasks(status="completed"):
        task = cvat.task(info.id)           # everything in it, as an AnnotationTask

Where it is and who we are comes from `TRAINYARD_CVAT_URL` and `TRAINYARD_CVAT_TOKEN`, or
`TRAINYARD_CVAT_USERNAME` and `TRAINYARD_CVAT_PASSWORD`; `TRAINYARD_CVAT_ORGANIZATION` names the
organization to work in. Every call has a timeout; what can be repeated without harm is, with
growing waits; every failure is a ServiceError that says what to do.
"""

from components.core.cvat.client import Cvat
from components.core.cvat.endpoint import Endpoint, NotFoundError
from components.core.cvat.tasks import TaskInfo

__all__ = ["Cvat", "Endpoint", "NotFoundError", "TaskInfo"]
