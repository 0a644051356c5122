"""PSNR, SSIM and LPIPS are those of other implementations, and heed what counts of an image."""

import math

import pytest
import torch
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)
from torchmetrics.functional.image.lpips import _LPIPS
from torchvision.models import alexnet, squeezenet1_1, vgg16

from components.core.errors import InputError
from components.core.metrics.images import RIM, Lpips, any_counts, psnr, ssim
from components.core.training.rendering import Rendering
from components.core.training.rendering_losses import RenderingLoss


def pair(batch=3, size=(60, 44), seed=0):
    random = torch.Generator().manual_seed(seed)
    target = torch.rand(batch, 3, *size, generator=random)
    noise = torch.randn(batch, 3, *size, generator=random)
    strength = torch.linspace(0.02, 0.4, batch).view(-1, 1, 1, 1)
    return (target + strength * noise).clamp(0, 1), target


def test_psnr_is_torchmetrics_for_each_image():
    image, target = pair()
    expected = [peak_signal_noise_ratio(a, b, data_range=1.0) for a, b in zip(image, target)]  # noqa: B905
    assert psnr(image, target).tolist() == pytest.approx([float(value) for value in expected])
    assert psnr(torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.1)).item() == pytest.approx(20)


def test_psnr_of_equal_images_is_finite():
    assert psnr(torch.ones(2, 3, 4, 4), torch.ones(2, 3, 4, 4)).tolist() == [100, 100]
    assert math.isnan(psnr(torch.full((1, 3, 4, 4), float("nan")), torch.ones(1, 3, 4, 4)).item())


def test_ssim_is_torchmetrics_inside_of_each_image():
    image, target = pair()
    _, places = structural_similarity_index_measure(
        image, target, sigma=1.5, data_range=1.0, reduction="none", return_full_image=True
    )
    expected = places[:, :, 5:-5, 5:-5].mean((1, 2, 3))  # at the rim it mirrors the image
    torch.testing.assert_close(ssim(image, target), expected, rtol=0, atol=1e-4)
    assert ssim(target, target).tolist() == pytest.approx([1, 1, 1])
    with pytest.raises(InputError, match="11 pixels a side, but got 44x10"):
        ssim(image[:, :, :10], target[:, :, :10])


def test_what_does_not_count_of_an_image_changes_no_figure():
    image, target = pair()
    valid = torch.zeros(3, 1, 60, 44)
    valid[:, :, 20:40, 15:30] = 1
    seen = image[:, :, 20:40, 15:30], target[:, :, 20:40, 15:30]
    assert psnr(image, target, valid).tolist() == pytest.approx(psnr(*seen).tolist())
    around = image[:, :, 15:45, 10:35], target[:, :, 15:45, 10:35]
    assert ssim(image, target, valid).tolist() == pytest.approx(ssim(*around).tolist(), abs=1e-5)
    assert psnr(image, target, valid).tolist() != pytest.approx(psnr(image, target).tolist())


def test_images_of_which_nothing_counts_have_no_figure():
    image, target = pair()
    valid = torch.ones(3, 1, 60, 44)
    valid[1] = 0
    for figure in (psnr, ssim):
        found, whole = figure(image, target, valid), figure(image, target)
        assert found.isnan().tolist() == [False, True, False]
        assert found[::2].tolist() == pytest.approx(whole[::2].tolist())
    valid[1, :, :5] = 1  # in the middle of none of SSIM's windows
    assert not psnr(image, target, valid).isnan().any()
    assert ssim(image, target, valid).isnan().tolist() == [False, True, False]
    assert any_counts(valid).tolist() == [True, True, True]
    assert any_counts(valid, RIM).tolist() == [True, False, True]


class First(torch.nn.Module):
    def forward(self, levels, aux, coordinates):
        return levels[0]


def validated(image, target, *masks):
    task = Rendering(First(), RenderingLoss("L1"))
    for valid in masks:
        batch = {"levels": [image], "aux": [], "coordinates": [], "target": target, "valid": valid}
        task.validate(task.network, batch)
    return task.validation_metrics()


def test_validation_leaves_out_examples_of_which_nothing_counts():
    image, target = pair()
    valid = torch.ones(3, 1, 60, 44)
    valid[1] = 0
    valid[2, :, 5:] = 0
    found = validated(image, target, valid, torch.zeros_like(valid))
    ratios = psnr(image, target, valid)
    losses = [(image - target)[0].abs().mean(), (image - target)[2, :, :5].abs().mean()]
    assert found == {
        "val_loss": pytest.approx(float(sum(losses)) / 2, rel=1e-5),
        "val_psnr": pytest.approx(float(ratios[0] + ratios[2]) / 2),
        "val_ssim": pytest.approx(float(ssim(image, target)[0])),
    }
    assert validated(image, target, torch.zeros_like(valid)) == {}
    image[0, 0, 0, 0] = torch.nan  # a network that fails is not passed over
    assert math.isnan(validated(image, target, valid)["val_psnr"])


@pytest.mark.parametrize(
    ("kind", "network"),
    [("alex", alexnet), pytest.param("vgg", vgg16, marks=pytest.mark.slow)],
)
def test_lpips_is_torchmetrics_with_the_weights_of_the_file(tmp_path, kind, network):
    torch.manual_seed(1)
    backbone = network(weights=None)
    torch.save(backbone.state_dict(), tmp_path / "net.pth")
    image, target = pair(2, (64, 64))
    distance = Lpips(tmp_path / "net.pth").train()
    assert distance.kind == kind
    theirs = _LPIPS(net=kind, pnet_rand=True)
    slices = [module for module in theirs.net.modules() if hasattr(module, "weight")]
    own = [module for module in backbone.features if hasattr(module, "weight")]
    for one, other in zip(slices, own, strict=True):
        one.load_state_dict(other.state_dict())
    expected = theirs(2 * image - 1, 2 * target - 1).flatten()
    assert expected[1] > expected[0] > 0
    torch.testing.assert_close(distance(image, target), expected)
    assert distance(target, target).tolist() == [0, 0]


def test_lpips_takes_only_networks_it_was_made_for(tmp_path):
    torch.save(squeezenet1_1(weights=None).state_dict(), tmp_path / "net.pth")
    with pytest.raises(InputError, match=r"net.pth are not the weights of AlexNet or VGG-16"):
        Lpips(tmp_path / "net.pth")
    torch.save(alexnet(weights=None).state_dict(), tmp_path / "net.pth")
    with pytest.raises(InputError, match="32 pixels a side, but got 40x31"):
        Lpips(tmp_path / "net.pth")(torch.rand(1, 3, 31, 40), torch.rand(1, 3, 31, 40))
