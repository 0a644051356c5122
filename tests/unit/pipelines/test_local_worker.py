"""What the embedded runner makes of a compiled pipeline."""

import pytest
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec

from pipelines import catalog
from pipelines.backends._local_worker import _one_by_one


@pytest.mark.parametrize("name", catalog.names())
def test_no_step_begins_once_another_has_failed(name: str) -> None:
    spec = PipelineSpec()
    spec.CopyFrom(catalog.load(name).pipeline_spec)
    groups = [spec.root, *spec.components.values()]
    for group in groups:
        _one_by_one(group.dag.tasks)
        waiting = sorted(len(task.dependent_tasks) for task in group.dag.tasks.values())
        after = {name for task in group.dag.tasks.values() for name in task.dependent_tasks}
        # A chain: all but the last have somebody who waits for them, all but the first wait.
        assert waiting.count(0) == min(1, len(waiting))
        assert len(after) == max(0, len(waiting) - 1)
        assert not any(task.HasField("retry_policy") for task in group.dag.tasks.values())
    expected = {
        "video_classification": 13,  # it reads a task and records the run
        "neural_rendering": 7,
        "tao_detection": 7,
    }
    assert sum(len(group.dag.tasks) for group in groups) == expected.get(name, 11)
