"""Losses of images: their values, what they ignore, and that no other than the chosen one runs."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torchvision.models.vgg import cfgs, make_layers
from torchvision.transforms.functional import normalize

from components.core.errors import InputError
from components.core.models.vgg_features import VggFeatures
from components.core.training.rendering_loss_names import TERMS, chosen_loss, loss_problems
from components.core.training.rendering_losses import RenderingLoss, loss_figures


def pair(batch=2, size=(48, 40), seed=0):
    random = torch.Generator().manual_seed(seed)
    target = torch.rand(batch, 3, *size, generator=random)
    image = (target + 0.3 * torch.randn(batch, 3, *size, generator=random)).clamp(0, 1)
    return image, target


@pytest.fixture(scope="module")
def reference():
    torch.manual_seed(3)
    return make_layers(cfgs["D"]).eval()  # the part of vgg16 that matters


@pytest.fixture(scope="module")
def vgg_weights(reference, tmp_path_factory):
    path = tmp_path_factory.mktemp("vgg") / "vgg16.pth"
    torch.save({f"features.{name}": v for name, v in reference.state_dict().items()}, path)
    return str(path)


def of(name, image, target, valid=None, weights=""):
    return RenderingLoss(name, weights)(image, target, valid)


def test_differences_and_spectra_are_numpys():
    image, target = pair()
    a, b = image.double().numpy(), target.double().numpy()
    assert of("MSE", image, target).item() == pytest.approx(((a - b) ** 2).mean(), rel=1e-5)
    assert of("L1", image, target).item() == pytest.approx(np.abs(a - b).mean(), rel=1e-5)
    found, wanted = (np.abs(np.fft.fft2(x, norm="ortho")) for x in (a, b))
    expected = ((found - wanted) ** 2).mean()
    assert of("Spectral", image, target).item() == pytest.approx(expected, rel=1e-4)


def test_dissimilarity_is_that_of_windows_with_zeros_around():
    image, target = pair(1, (14, 13))
    place = np.arange(11) - 5.0
    weights = np.exp(-(place**2) / 4.5)
    window = np.outer(weights, weights) / weights.sum() ** 2
    values = []
    for channel in range(3):
        a, b = (np.pad(x[0, channel].double().numpy(), 5) for x in (image, target))
        for row in range(14):
            for column in range(13):
                x, y = (v[row : row + 11, column : column + 11] for v in (a, b))
                mx, my = (window * x).sum(), (window * y).sum()
                vx, vy = (window * x * x).sum() - mx**2, (window * y * y).sum() - my**2
                both = (window * x * y).sum() - mx * my
                values.append(
                    (2 * mx * my + 1e-4)
                    * (2 * both + 9e-4)
                    / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))
                )
    assert of("SSIM", image, target).item() == pytest.approx(1 - np.mean(values), abs=1e-5)


def vgg_by_hand(reference, image, target):
    features = []
    for x in (image, target):
        x = normalize(x, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        kept = []
        for number, layer in enumerate(reference[:23]):
            x = layer(x)
            if number in (3, 8, 15, 22):
                kept.append(x.clone())
        features.append(kept)
    loss = 0.25 * F.mse_loss(features[0][1], features[1][1])
    for a, b in zip(*features, strict=True):
        size = a.shape[1] * a.shape[2] * a.shape[3]
        grams = [torch.einsum("bchw,bdhw->bcd", x, x) / size for x in (a, b)]
        loss = loss + 3 * F.mse_loss(*grams)
    return loss


def test_vgg_compares_features_and_their_correlations(reference, vgg_weights):
    image, target = pair()
    with torch.no_grad():
        expected = vgg_by_hand(reference, image, target).item()
        assert expected > 1e-4
        assert of("VGG", image, target, weights=vgg_weights).item() == pytest.approx(expected, 1e-4)
        other = 1 - of("SSIM", image, target)
        assert of("XIAO", image, target, weights=vgg_weights).item() == pytest.approx(
            (1 - other.item()) + 0.1 * expected, 1e-4
        )
        assert of("INOVIS", image, target, weights=vgg_weights).item() == pytest.approx(
            0.025 * (1 - other.item()) + 0.1 * expected, 1e-4
        )
        figures = loss_figures(image, target, vgg=VggFeatures(vgg_weights))
        for name in TERMS:
            alone = of(name, image, target, weights=vgg_weights).item()
            assert figures[name] == pytest.approx(alone, 1e-5)
    assert set(loss_figures(image, target)) == set(TERMS) - {"VGG", "XIAO", "INOVIS"}


@pytest.mark.parametrize("name", TERMS)
def test_equal_images_have_no_loss_and_others_are_pulled_to_the_target(name, vgg_weights):
    image, target = pair()
    loss = RenderingLoss(name, vgg_weights)
    assert loss(target, target).item() == pytest.approx(0, abs=1e-6)
    image.requires_grad_()
    before = loss(image, target)
    before.backward()
    step = 1e-3 * image.grad / image.grad.norm()
    assert loss(image.detach() - step, target) < before
    assert all(value.grad is None for value in loss.parameters())


@pytest.mark.parametrize("name", TERMS)
def test_pixels_that_do_not_count_have_no_say(name, vgg_weights):
    image, target = pair()
    valid = torch.ones(2, 1, 48, 40)
    valid[:, :, 10:30, 5:30] = 0
    loss = RenderingLoss(name, vgg_weights)
    image.requires_grad_()
    loss(image, target, valid).backward()
    hidden = (valid == 0).expand_as(image)
    if "SSIM" in TERMS[name]:  # a window that counts may look in from the rim
        hidden = -F.max_pool2d(-hidden.float(), 11, 1, 5) > 0
    assert hidden.any()
    assert not image.grad[hidden].any()
    assert image.grad[(valid == 1).expand_as(image)].any()
    nothing = loss(image, target, torch.zeros_like(valid))
    assert nothing.item() == pytest.approx(0, abs=1e-7)
    assert loss(image, target, torch.ones_like(valid)).item() == pytest.approx(
        loss(image, target).item(), rel=1e-4
    )


@pytest.mark.parametrize("name", TERMS)
def test_a_batchs_loss_is_the_mean_of_its_examples(name, vgg_weights):
    image, target = pair(3)
    valid = torch.rand(3, 1, 48, 40)
    loss = RenderingLoss(name, vgg_weights)
    with torch.no_grad():
        each = [loss(image[n : n + 1], target[n : n + 1], valid[n : n + 1]) for n in range(3)]
        assert loss(image, target, valid).item() == pytest.approx(np.mean(each), rel=1e-4)


def operations(loss):
    found, left = set(), [loss.grad_fn]
    while left:
        node = left.pop()
        found.add(node.name())
        left += [parent for parent, _ in node.next_functions if parent is not None]
    return found


def test_only_the_chosen_loss_is_in_the_graph():
    image, target = pair()
    image.requires_grad_()
    graphs = {
        name: operations(of(name, image, target)) for name in ("MSE", "L1", "SSIM", "Spectral")
    }
    for name, graph in graphs.items():
        assert any("Fft" in node for node in graph) == (name == "Spectral")
        assert any("Convolution" in node for node in graph) == (name == "SSIM")
    assert RenderingLoss("SSIM", "unread.pth").vgg is None


def test_losses_are_exact_where_training_is_in_half_precision(vgg_weights):
    image, target = pair()
    for name in TERMS:
        loss = RenderingLoss(name, vgg_weights)
        expected = loss(image, target)
        with torch.autocast("cpu", torch.bfloat16):
            assert loss(image, target).item() == expected.item()
            assert loss(image.bfloat16(), target).dtype == torch.float32


def test_losses_that_cannot_be_computed_are_named(tmp_path, vgg_weights):
    assert loss_problems("") == loss_problems("L1") == loss_problems("XIAO", "vgg16.pth") == []
    [unknown] = loss_problems("PSNR")
    assert unknown.startswith("loss_function: 'PSNR' is unknown; accepted are INOVIS, XIAO")
    for name in ("INOVIS", "XIAO", "VGG"):
        [problem] = loss_problems(name)
        assert problem.startswith(f"loss_function: {name!r} compares features of VGG-16")
        assert "set vgg_weights" in problem
        with pytest.raises(InputError, match="vgg_weights"):
            RenderingLoss(name)
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "half.pth")
    with pytest.raises(
        InputError, match=r"half.pth are not the weights of VGG-16: features.0.bias"
    ):
        RenderingLoss("VGG", tmp_path / "half.pth")
    with pytest.raises(InputError, match=r"gone.pth does not exist"):
        RenderingLoss("VGG", tmp_path / "gone.pth")


def test_the_default_needs_no_weights_and_says_so():
    assert chosen_loss("", "vgg16.pth") == ("INOVIS", "")
    assert chosen_loss("Spectral") == ("Spectral", "")
    name, line = chosen_loss("")
    assert name == "L1_SSIM"
    assert "no vgg_weights are given" in line
    image, target = pair()
    expected = 0.8 * of("L1", image, target) + 0.2 * of("SSIM", image, target)
    assert of(name, image, target).item() == pytest.approx(expected.item(), rel=1e-5)
