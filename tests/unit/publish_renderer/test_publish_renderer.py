"""Networks in the viewer's folder: pairs of files that are read back as the viewer does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from rendered_scene import scene, synced
from trained_renderers import Told, evaluated

from components.core.artifacts.publication import Publication
from components.core.errors import InputError, TrainyardError
from components.core.settings import build, problems
from components.publish_renderer.stage import STAGE, PublishRendererSettings


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("trained")
    frames = synced(scene(folder / "scene"), folder / "synced")
    return evaluated(frames, folder)


def publish(inputs: dict[str, Path], place: Path, **changes: Any) -> Publication:
    settings = build(PublishRendererSettings, changes)
    STAGE.execute(settings, inputs, {"published": place}, place.parent / "state", Told())
    return Publication.load(place)


def tokens(path: Path) -> list[str]:
    """The five values, as the viewer reads them."""
    return path.read_text().split()[1::2]


def test_a_network_is_published_once(inputs: dict[str, Path], tmp_path: Path) -> None:
    networks = tmp_path / "networks"
    first = publish(inputs, tmp_path / "one", networks=str(networks), network_name="hall")
    second = publish(inputs, tmp_path / "two", networks=str(networks), network_name="hall")
    assert (first.reused, second.reused) == (False, True)
    assert (first.model, second.model) == ("hall", "hall")
    assert {path.name for path in networks.iterdir()} == {"hall.pt", "hall.txt"}
    assert tokens(networks / "hall.txt") == ["hall", "0", "3", "2", "0"]
    trace = torch.jit.load(networks / "hall.pt")  # type: ignore[no-untyped-call]
    levels = tuple(torch.rand(1, 4, 64 >> k, 32 >> k) for k in range(4))
    photographs = tuple(torch.rand(1, 4, 40, 50) for _ in range(2))
    lookups = tuple(torch.rand(1, 3, 64, 32) * 2 - 1 for _ in range(2))
    assert trace(levels, photographs, lookups).shape == (1, 3, 64, 32)
    card = json.loads((tmp_path / "one" / "model_card.json").read_text())
    assert card["evaluation"]["figures"]["psnr"] > 0
    text = (tmp_path / "one" / "README.md").read_text()
    assert "# hall" in text
    assert "Renders photographs from points and 2 nearby photographs." in text


def test_another_network_of_the_name_is_left_alone(inputs: dict[str, Path], tmp_path: Path) -> None:
    networks = tmp_path / "networks"
    networks.mkdir()
    (networks / "hall.pt").write_bytes(b"another network")
    (networks / "hall.txt").write_text("name: hall\n")
    found = publish(inputs, tmp_path / "one", networks=str(networks), network_name="hall")
    assert (found.model, found.version) == ("hall-2", 2)
    assert tokens(networks / "hall-2.txt")[0] == "hall-2"
    assert (networks / "hall.pt").read_bytes() == b"another network"
    # a publication that was interrupted before the text is completed
    (networks / "hall-2.txt").unlink()
    again = publish(inputs, tmp_path / "two", networks=str(networks), network_name="hall")
    assert (again.model, again.reused) == ("hall-2", False)
    assert tokens(networks / "hall-2.txt")[0] == "hall-2"


def test_without_a_folder_it_is_part_of_the_output(inputs: dict[str, Path], tmp_path: Path) -> None:
    found = publish(inputs, tmp_path / "one")
    assert found.repository == "networks"
    (text,) = (tmp_path / "one" / "networks").glob("*.txt")
    assert text.stem == found.model
    assert found.model.endswith("_tiny_best")


def test_what_is_refused(inputs: dict[str, Path], tmp_path: Path) -> None:
    (said,) = problems(PublishRendererSettings, {"network_name": "my hall"})
    assert "network_name: 'my hall'" in said
    assert "my_hall" in said
    (said,) = problems(PublishRendererSettings, {"network_name": "h" * 300})
    assert "network_name: 'hhhhhhhhhhhhhhhhhhhh'… cannot" in said
    assert "at most 150 bytes" in said
    (said,) = problems(PublishRendererSettings, {"network_name": "-hall"})
    assert "begins with a letter or digit, such as 'hall'" in said
    assert not problems(PublishRendererSettings, {"network_name": "h" * 150})
    other = tmp_path / "other"
    shutil.copytree(inputs["model"], other)
    shutil.rmtree(other / "last")
    content = json.loads((other / "model.json").read_text())
    (other / "model.json").write_text(json.dumps({**content, "fingerprint": "0" * 64}))
    with pytest.raises(InputError, match="the evaluation is that of another model"):
        publish({**inputs, "model": other}, tmp_path / "one")
    broken = tmp_path / "broken"
    shutil.copytree(inputs["model"], broken)
    (text,) = broken.glob("*.txt")
    text.write_text(text.read_text().replace("groundtruth_amount: 2", "groundtruth_amount: 3"))
    with pytest.raises(InputError, match="says 3, the network takes 2"):
        publish({**inputs, "model": broken}, tmp_path / "two")
    text.unlink()
    with pytest.raises(InputError, match="the viewer cannot use this network"):
        publish({**inputs, "model": broken}, tmp_path / "three")


def test_a_trace_that_renders_something_else_is_refused(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    broken = tmp_path / "broken"
    shutil.copytree(inputs["model"], broken)
    path = broken / "weights.safetensors"
    values = {name: value + 0.3 if value.is_floating_point() else value
              for name, value in load_file(path).items()}  # fmt: skip
    path.unlink()
    save_file(values, path)
    with pytest.raises(TrainyardError, match="differs from the network"):
        publish({**inputs, "model": broken}, tmp_path / "one")
