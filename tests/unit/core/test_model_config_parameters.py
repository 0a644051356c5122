"""A served model's configuration file gives the parameters to train such a model again."""

from pathlib import Path

import pytest

from components.core.errors import SettingsError
from components.core.formats.model_config_ini import ModelConfigIni
from components.core.settings import read_file

PYTRAIN = """\
[PREDICTION]
num_frames = 20
class_list = ['Other', 'cooking', 'drinking', 'eating', 'pouring']
height = 224
width = 224
input_name = time_distributed_input
output_name = dense

[TRAINING]
epochs = 50
shuffle_size = 300
batch_size = 4
"""


def test_the_file_of_another_system_gives_parameters(tmp_path: Path) -> None:
    path = tmp_path / "test1.config"
    path.write_text(PYTRAIN)
    assert read_file(path) == {
        "clip_frames": 20,
        "sample_frames": 20,
        "frame_size": 224,
        "classes": ["cooking", "drinking", "eating", "pouring"],
        "other_class": "Other",
        "epochs": 50,
        "shuffle_size": 300,
        "batch_size": 4,
    }


def test_what_is_unknown_there_is_left_out() -> None:
    plain = ModelConfigIni(8, ["a", "b"], 32, 32, "clip", "logits")
    assert plain.parameters() == {
        "clip_frames": 8,
        "sample_frames": 8,
        "frame_size": 32,
        "classes": ["a", "b"],
    }


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("[PREDICTION]", "", "damaged"),
        ("width = 224", "width = 112", "frames of 112x224 pixels are not square"),
        ("class_list = [", "class_list = (1, [", "damaged"),
    ],
)
def test_a_file_that_is_none_is_refused_by_name(
    old: str, new: str, text: str, tmp_path: Path
) -> None:
    path = tmp_path / "test1.config"
    path.write_text(PYTRAIN.replace(old, new))
    with pytest.raises(SettingsError, match=text) as told:
        read_file(path)
    assert "test1.config" in str(told.value)
