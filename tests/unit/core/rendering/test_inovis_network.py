"""INOVIS has the published parameters, computes what is described, and says what fails."""

import pytest
import torch
from rendering_networks import inputs, renderer
from torch import nn
from torch.nn import functional as F

from components.core.errors import InputError
from components.core.models import build
from components.core.models.inovis_options import PUBLISHED


def count(module):
    return sum(value.numel() for value in module.parameters())


def test_the_published_network_has_its_parameters_and_tensors():
    network = build("inovis", **PUBLISHED)
    assert count(network) == 324_071
    assert count(network.feature_extraction_current_module) == 25_632
    assert count(network.feature_extraction_previous_module) == 9_392
    assert count(network.feature_reweighting_module) == 16_196
    down = [network.reconstruction_module.get_submodule(n) for n in ("start", *DOWN)]
    assert sum(count(module) for module in down) == 88_048
    assert count(network.reconstruction_module) == 88_048 + 184_803
    assert len(network.state_dict()) == 131
    assert sum(isinstance(module, nn.BatchNorm2d) for module in network.modules()) == 11
    assert count(build("inovis")) == 2_329_318


DOWN = [f"down{level}" for level in range(1, 5)]


def gated(state, name, x, norm=True):
    def conv(kind):
        key = f"{name}.block.{kind}"
        return F.conv2d(x, state[f"{key}.weight"], state[f"{key}.bias"], padding=1)

    x = F.elu(conv("conv_f")) * conv("conv_m").sigmoid()
    if not norm:
        return x
    mean, var, weight, bias = (
        state[f"{name}.block.norm.{key}"].view(-1, 1, 1)
        for key in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (var + 1e-5).sqrt() * weight + bias


def by_hand(state, levels, aux, coordinates):
    """The published network from its description, by the published names of its weights."""

    def conv(name, x):
        weight = state[f"{name}.weight"]
        return F.conv2d(x, weight, state[f"{name}.bias"], padding=weight.shape[-1] // 2)

    name = "feature_extraction_current_module.conv_"
    current = []
    for level in levels:
        x = level
        for part in ("inx32", "32x32", "32xout"):
            x = gated(state, name + part, x).relu()
        current.append(torch.cat([level, x], 1))
    warped = []
    for photo, lookups in zip(aux, coordinates, strict=True):
        x = photo
        for part in ("inx16", "16x16", "out"):
            x = gated(state, f"feature_extraction_previous_module.conv_{part}", x).relu()
        height, width = photo.shape[2:]
        place = lookups[:, :2].nan_to_num(99.0)
        column = ((place[:, 0] + 1) * width / 2 - 0.5).round().long()
        row = ((1 - place[:, 1]) * height / 2 - 0.5).round().long()
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        column, row = column.clamp(0, width - 1), row.clamp(0, height - 1)
        known = torch.cat([photo, x], 1)
        found = torch.stack([k[:, r, c] for k, r, c in zip(known, row, column, strict=True)])
        warped.append(found * inside[:, None])
    x = torch.cat([levels[0], *(value[:, :4] for value in warped)], 1)
    name = "feature_reweighting_module.conv_"
    x = conv(f"{name}32x32", conv(f"{name}inx32", x).relu()).relu()
    weights = (conv(f"{name}32xpreviousframes", x).tanh() + 1) * 5
    weighted = [value[:, 4:] * weights[:, n : n + 1] for n, value in enumerate(warped)]
    name = "reconstruction_module."
    kept = [gated(state, f"{name}start", torch.cat([current[0], *weighted], 1))]
    for level in range(1, 5):
        x = gated(state, f"{name}down{level}.conv", F.max_pool2d(kept[-1], 2))
        kept.append(torch.cat([x, current[level]], 1) if level < 4 else x)
    x = kept.pop()
    for level in range(4, 0, -1):
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        x = torch.cat([conv(f"{name}up{level}.up.1.0", x), kept.pop()], 1)
        x = gated(state, f"{name}up{level}.conv", x, norm=False)
    return conv(f"{name}final.0.0", x).sigmoid()


def test_the_network_computes_what_its_description_says():
    network = renderer()
    given = inputs(network, size=(48, 64), aux_size=(50, 38), batch=2)
    with torch.no_grad():
        found, expected = network(*given), by_hand(network.state_dict(), *given)
    assert found.shape == (2, 3, 48, 64)
    assert expected.std() > 0.03
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


VARIANTS = [
    {},
    {"in_channels_current": 4, "feature_extraction_depth": 0},
    {"in_channels_current": [4, 4], "reweight_with_low_res": True},
    {"in_channels_current": [5, 5, 5, 5, 5], "in_channels_gt": 3},
    {"in_gt_frame_amount": 1},
    {"in_gt_frame_amount": 6, "feature_amount_current": 3, "feature_amount_gt": 5},
    {"feature_extraction_depth": 1},
    {"feature_extraction_depth": 3, "feature_amount_gt": 4},
    {"feature_extraction_depth": 2, "warp_rgbd": False, "filter_sizes": [], "feature_scale": 2},
    {"out_channels": 1},
    {"output_warped": True},
    {"mask_warped": True},
    {"warp_rgbd": False},
    {"extract_lowres_features": False},
    {"reweight_with_low_res": True},
    {"conv_block_extraction_pr": "basic"},
    {"conv_block_extraction_gt": "basic"},
    {"conv_block_reweighting": "gated"},
    {"conv_block_reconstruction": "basic"},
    {"upsample_mode": "deconv", "pooling_mode": "avg"},
    {"filter_sizes": [], "feature_scale": 4},
    {"filter_sizes": [16, 24, 32, 40, 48]},
    {"fe_current_filter_base": 8, "fe_gt_filter_base": 4},
    {"disable_reweighting": True},
    {"normalization": "group"},
    {"sampling": "bilinear"},
    {"reweight_with_validity": True},
]


@pytest.mark.parametrize("arguments", VARIANTS, ids=str)
def test_every_argument_makes_a_network_that_trains_and_is_rebuilt(arguments):
    wide = arguments.get("feature_extraction_depth", 0) or "in_gt_frame_amount" in arguments
    filters = {} if "filter_sizes" in arguments or not wide else {"filter_sizes": [96] * 5}
    network = renderer(**{**filters, **arguments}).train()
    given = inputs(network, size=(32, 32), aux_size=(24, 40), batch=2)
    image = network(*given)
    assert image.shape == (2, arguments.get("out_channels", 3), 32, 32)
    image.square().mean().backward()
    trained = [value for value in network.parameters() if value.requires_grad]
    assert all(value.grad is not None for value in trained)
    again = build("inovis", **network.arguments).eval()
    again.load_state_dict(network.state_dict())
    with torch.no_grad():
        assert torch.equal(again(*given), network.eval()(*given))


OPTIONS = ["mask_warped", "warp_rgbd", "extract_lowres_features", "disable_reweighting", "sampling"]


@pytest.mark.parametrize("name", OPTIONS)
def test_options_without_weights_of_their_own_change_the_result(name):
    values = ("nearest", "bilinear") if name == "sampling" else (False, True)
    images = []
    for value in values:
        network = renderer(**{name: value})
        with torch.no_grad():
            images.append(network(*inputs(network)))
    assert (images[0] - images[1]).abs().max() > 1e-3


def test_absent_photographs_are_like_ones_that_show_nothing():
    network = renderer(mask_warped=True, reweight_with_validity=True)
    levels, aux, lookups = inputs(network)
    unseen = [value * torch.tensor([1, 1, 0]).view(1, 3, 1, 1) for value in lookups]
    with torch.no_grad():
        few = network(levels, aux[:2], lookups[:2])
        hidden = network(levels, aux, [*lookups[:2], *unseen[2:]])
        all_of_them = network(levels, aux, lookups)
    assert torch.equal(few, hidden)
    assert not torch.allclose(few, all_of_them)


def test_photographs_may_be_cropped_to_what_is_looked_up_and_four_pixels_more():
    """Features depend on 3 pixels around, so nothing of the result depends on the rest."""
    network = renderer(in_gt_frame_amount=1)
    levels, (photo,), _ = inputs(network, size=(16, 16), aux_size=(100, 120))
    top, left, height, width = 30, 40, 24, 30
    rows = top + 4 + torch.randint(height - 8, (16, 16))
    columns = left + 4 + torch.randint(width - 8, (16, 16))
    place = [(2 * columns + 1) / 120 - 1, 1 - (2 * rows + 1) / 100]
    cropped = [(2 * (columns - left) + 1) / width - 1, 1 - (2 * (rows - top) + 1) / height]
    small = photo[:, :, top : top + height, left : left + width]
    with torch.no_grad():
        whole = network(levels, [photo], [torch.stack(place)[None]])
        part = network(levels, [small], [torch.stack(cropped)[None]])
        less = network(levels, [photo[:, :, top + 4 :, left + 4 :]], [torch.stack(cropped)[None]])
    torch.testing.assert_close(part, whole, rtol=0, atol=1e-6)
    assert not torch.allclose(less, whole, atol=1e-3)


def test_group_normalisation_does_not_mix_the_examples_of_a_batch():
    def difference(kind):
        network = renderer(normalization=kind).train()
        levels, aux, lookups = inputs(network, batch=2)
        with torch.no_grad():
            both = network(levels, aux, lookups)
            first = network(*([value[:1] for value in part] for part in (levels, aux, lookups)))
        return float((both[:1] - first).abs().max())

    assert difference("group") < 1e-5
    assert difference("batch") > 1e-3


def test_what_was_warped_is_kept_on_demand():
    network = renderer(output_warped=True)
    _, aux, lookups = given = inputs(network)
    for value in lookups:
        value[:, :2] = 0.01
    network(*given)
    middle = torch.stack([photo[0, :3, 23, 16] for photo in aux])
    assert torch.equal(network.parts["warped"][0, :, :, 5, 7], middle)
    assert network.parts["weights"].shape == (1, 4, 32, 48)
    assert 0 < network.parts["weights"].min() < network.parts["weights"].max() < 10
    assert not renderer().parts


def test_all_wrong_arguments_are_named_together():
    with pytest.raises(InputError) as error:
        build("inovis", in_gt_frame_amount=0, pooling_mode="median", filter_sizes=[32, 32])
    for words in ("in_gt_frame_amount: 0", "'median'", "avg and max", "filter_sizes: [32, 32]"):
        assert words in str(error.value)
    with pytest.raises(InputError, match=r"level 1 .* has 12 filters but needs 13"):
        build("inovis", filter_sizes=[32, 12, 32, 32, 32])
    with pytest.raises(InputError, match="needs a rendering at 1/4 of the size"):
        build("inovis", in_channels_current=[4, 4], feature_extraction_depth=2)
    with pytest.raises(InputError, match="cannot be built"):
        build("inovis", filter_bases=[32])


def test_lists_that_are_given_stay_as_they_are():
    channels, filters = [4, 4, 4, 4], [32] * 5
    build("inovis", in_channels_current=channels, filter_sizes=filters)
    assert (channels, filters) == ([4] * 4, [32] * 5)


def test_all_wrong_inputs_are_named_together():
    network = renderer(mask_warped=True)
    levels, aux, lookups = inputs(network)
    with pytest.raises(InputError) as error:
        network([levels[0][..., :40], *levels[1:]], [*aux, aux[0]], [lookups[0][:, :2]])
    for words in (
        "40x32 pixels",
        "multiples of 16",
        "5 photographs instead of 1 to 4",
        "level 1 of",
    ):
        assert words in str(error.value)
    assert "1 lookups for 5 photographs; " in str(error.value)
    assert "lookups 0 of 1 x 2 x 32 x 48 instead of 1 x 3 x 32 x 40" in str(error.value)


def test_half_precision_and_channels_last_render_the_same_image():
    network = renderer()
    given = inputs(network, size=(48, 48), aux_size=(48, 40), batch=2)
    with torch.no_grad():
        plain = network(*given)
        last = network.to(memory_format=torch.channels_last)(*given)
    torch.testing.assert_close(last, plain, rtol=0, atol=1e-5)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        coarse = network(*given)
    assert 1e-5 < (coarse.float() - plain).abs().mean() < 0.01
    with torch.autocast("cpu", torch.bfloat16):
        image = network.train()(*given)
    image.float().square().mean().backward()
    assert all(value.grad.isfinite().all() for value in network.parameters())
