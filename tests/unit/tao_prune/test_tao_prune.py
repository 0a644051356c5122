"""What can be pruned, and what is told where it cannot."""

import pytest
import tao_fakes

from components.core.errors import SettingsError
from components.core.settings import build
from components.tao_prune.stage import STAGE, PruneSettings
from pipelines.demo_tao import write_project


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("TAO_PATH", f"{tao_fakes.install(tmp_path / 'bin')}:/usr/bin:/bin")
    monkeypatch.setenv("TRAINYARD_TAO_KEY", "tlt_encode")
    return write_project(tmp_path / "work")


def settings(project, experiment, **more):
    return build(PruneSettings, {"project": str(project), "experiment": experiment, **more})


def test_a_head_without_pruning_is_told_with_those_that_have_it(project):
    (told,) = STAGE.check(settings(project, "dino_fan_01"))
    assert "dino has no pruning" in str(told)
    assert "detectnet_v2" in str(told)
    assert STAGE.check(settings(project, "dssd_resnet18_01")) == []


def test_nothing_is_needed_to_hand_a_model_on(project):
    idle = settings(project, "dino_fan_01", prune_threshold=0)
    assert STAGE.idle(idle)
    assert STAGE.check(idle) == []
    assert not STAGE.idle(settings(project, "dssd_resnet18_01"))


@pytest.mark.parametrize("threshold", [-0.1, 1.0])
def test_thresholds_are_shares(project, threshold):
    with pytest.raises(SettingsError, match="prune_threshold"):
        settings(project, "dssd_resnet18_01", prune_threshold=threshold)
