"""Values that are sound for each stage of neural_rendering, and cannot work beside one another."""

from typing import Any

import pytest

from components.core.errors import SettingsError
from pipelines import catalog, plan


def resolved(**values: Any) -> None:
    plan.read(catalog.load("neural_rendering")).resolve({"source": "frames", **values})


def test_a_network_that_the_viewer_cannot_have_is_not_trained() -> None:
    with pytest.raises(SettingsError) as told:
        resolved(feature_extraction_depth=1, filter_sizes=[120] * 5, aux_views=2)
    said = str(told.value)
    assert "feature_extraction_depth: 1 is not supported by the viewer" in said
    assert "aux_views: 2 are stored of each frame, the network sees in_gt_frame_amount: 4" in said


@pytest.mark.parametrize("stored", [0, 2, 3])
def test_as_many_photographs_as_the_network_sees_are_enough(stored: int) -> None:
    resolved(aux_views=stored, in_gt_frame_amount=2)
