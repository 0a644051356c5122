"""Object detectors of torchvision on any backbone that can feed a feature pyramid.

Faster R-CNN: Ren et al., 2015; RetinaNet: Lin et al., 2017; FCOS: Tian et al., 2019; the improved
heads (`v2`): Li et al., "Benchmarking Detection Transfer Learning with Vision Transformers", 2021,
and Zhang et al., "Bridging the Gap Between Anchor-based and Anchor-free Detection", 2020.

All take a list of images (3, H, W, float32, [0, 1], RGB) of any sizes, which they normalise with
the mean and deviation of ImageNet, pad to a common multiple of 32 and never resize. In training
they take targets as well (`boxes`: N, 4 float32, left, top, right, bottom in pixels; `labels`: N
int64 from 1, as 0 is the background; an image without objects has N = 0) and return a dictionary
of losses; in evaluation a list of dictionaries of `boxes`, `scores` and `labels`, from 1 as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn
from torchvision.models.detection import FCOS, FasterRCNN, RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import (
    FastRCNNConvFCHead,
    FastRCNNPredictor,
    TwoMLPHead,
)
from torchvision.models.detection.fcos import (
    FCOSClassificationHead,
    FCOSHead,
    FCOSRegressionHead,
)
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool, LastLevelP6P7
from torchvision.ops.poolers import LevelMapper

from components.core.errors import InputError
from components.core.models.backbone_names import LEVELS, NETWORKS, detector_problems, feed_problems
from components.core.models.backbones import (
    STRIDES,
    FeaturePyramid,
    Norm,
    feature_pyramid,
    group_norm,
)
from components.core.models.detector_input import Normalised
from components.core.models.detector_weights import load_backbone

__all__ = [
    "NETWORKS",
    "detector_problems",
    "faster_rcnn",
    "fcos",
    "feed_problems",
    "load_backbone",
    "retinanet",
]

RATIOS = (0.5, 1.0, 2.0)
"""Height by width of the anchors, by default."""

SIZES = (32, 64, 128, 256, 512)
"""Sides of the anchors in pixels, by default; those of FCOS are its strides."""

OCTAVES = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))
"""RetinaNet has anchors of each size times these."""

POOLED = 7
"""Cells per side of the features of a proposal."""


def faster_rcnn(
    *,
    classes: int,
    backbone: str = "resnet50",
    v2: bool = False,
    anchor_sizes: Sequence[float] = (),
    aspect_ratios: Sequence[float] = (),
    trainable_layers: int = 5,
    norm: Norm = "frozen",
    channels: int = 256,
    score_threshold: float = 0.05,
    nms_iou: float = 0.5,
    detections: int = 100,
) -> nn.Module:
    """Makes an untrained Faster R-CNN.

    Args:
        classes: number of classes, without the background.
        backbone: one of BACKBONES.
        v2: heads with more layers and normalisation.
        anchor_sizes: side in pixels of the anchors of each of five levels (strides 4 to 64);
            none: 32 to 512.
        aspect_ratios: height by width of the anchors; none: 0.5, 1 and 2.
        trainable_layers: parts of the backbone that are trained, 0 to 5, counted from the last.
        norm: the backbone's normalisation; `group` goes for the heads of `v2` too.
        channels: of the pyramid and the heads, a multiple of 32; the paper's is 256.
        score_threshold: detections below it are left out, in evaluation.
        nms_iou: of two boxes of a class that overlap more, the weaker is left out.
        detections: most detections on an image.

    Raises:
        InputError: arguments that make no such network, all at once.
    """
    _check("faster_rcnn", locals())
    head_norm = _head_norm(norm)
    ratios = tuple(aspect_ratios) or RATIOS
    pyramid = feature_pyramid(
        backbone,
        strides=STRIDES,
        channels=channels,
        extra=lambda _: LastLevelMaxPool(),
        trainable_layers=trainable_layers,
        norm=norm,
        pyramid_norm=head_norm if v2 else None,
    )
    representation = 4 * channels
    box_head: nn.Module = TwoMLPHead(channels * POOLED**2, representation)
    if v2:
        size = (channels, POOLED, POOLED)
        box_head = FastRCNNConvFCHead(size, [channels] * 4, [representation], norm_layer=head_norm)
    network = FasterRCNN(
        pyramid,
        rpn_anchor_generator=_anchors([(size,) for size in anchor_sizes or SIZES], ratios),
        rpn_head=RPNHead(channels, len(ratios), conv_depth=2 if v2 else 1),
        box_roi_pool=_roi_pool(),
        box_head=box_head,
        box_predictor=FastRCNNPredictor(representation, classes + 1),
        box_score_thresh=score_threshold,
        box_nms_thresh=nms_iou,
        box_detections_per_img=detections,
    )
    return _finished(network, "fasterrcnn", backbone, v2)


def retinanet(
    *,
    classes: int,
    backbone: str = "resnet50",
    v2: bool = False,
    anchor_sizes: Sequence[float] = (),
    aspect_ratios: Sequence[float] = (),
    trainable_layers: int = 5,
    norm: Norm = "frozen",
    channels: int = 256,
    score_threshold: float = 0.05,
    nms_iou: float = 0.5,
    detections: int = 100,
) -> nn.Module:
    """Makes an untrained RetinaNet; arguments as of `faster_rcnn`.

    Its five levels have strides 8 to 128, with anchors of 1, 1.26 and 1.59 times each size; `v2`
    adds group normalisation to the heads and takes GIoU for the loss of the boxes.

    Raises:
        InputError: arguments that make no such network, all at once.
    """
    _check("retinanet", locals())
    ratios = tuple(aspect_ratios) or RATIOS
    pyramid = _coarse_pyramid(backbone, channels, v2, trainable_layers, norm)
    sizes = [tuple(int(size * step) for step in OCTAVES) for size in anchor_sizes or SIZES]
    head = RetinaNetHead(
        channels,
        len(ratios) * len(OCTAVES),
        classes + 1,
        norm_layer=group_norm if v2 else None,
    )
    if v2:
        head.regression_head._loss_type = "giou"
    network = RetinaNet(
        pyramid,
        classes + 1,
        anchor_generator=_anchors(sizes, ratios),
        head=head,
        score_thresh=score_threshold,
        nms_thresh=nms_iou,
        detections_per_img=detections,
    )
    return _finished(network, "retinanet", backbone, v2)


def fcos(
    *,
    classes: int,
    backbone: str = "resnet50",
    v2: bool = False,
    anchor_sizes: Sequence[float] = (),
    aspect_ratios: Sequence[float] = (),
    trainable_layers: int = 5,
    norm: Norm = "frozen",
    channels: int = 256,
    score_threshold: float = 0.05,
    nms_iou: float = 0.5,
    detections: int = 100,
) -> nn.Module:
    """Makes an untrained FCOS; arguments as of `faster_rcnn`.

    It has no anchor boxes: `anchor_sizes` are the units of its five levels (by default their
    strides, 8 to 128); a level is for objects of 4 to 8 units. It has no `v2` and no ratios.

    Raises:
        InputError: arguments that make no such network, all at once.
    """
    _check("fcos", locals())
    sizes = [(size,) for size in anchor_sizes] or [(8 * 2**level,) for level in range(LEVELS)]
    head = FCOSHead(channels, 1, classes + 1)
    head.classification_head = FCOSClassificationHead(
        channels, 1, classes + 1, norm_layer=group_norm
    )
    head.regression_head = FCOSRegressionHead(channels, 1, norm_layer=group_norm)
    network = FCOS(
        _coarse_pyramid(backbone, channels, False, trainable_layers, norm),
        classes + 1,
        anchor_generator=_anchors(sizes, (1.0,)),
        head=head,
        score_thresh=score_threshold,
        nms_thresh=nms_iou,
        detections_per_img=detections,
    )
    return _finished(network, "fcos", backbone, v2)


def _finished(network: nn.Module, published: str, backbone: str, v2: bool) -> nn.Module:
    """Puts our first step in, and notes what torchvision calls its weights of this network."""
    network.transform = Normalised()
    ours = f"{published}_{backbone}_fpn{'_v2' if v2 else ''}"
    network.published = ours if backbone == "resnet50" else ""  # type: ignore[assignment]
    return network


def _coarse_pyramid(
    backbone: str, channels: int, v2: bool, trainable_layers: int, norm: Norm
) -> FeaturePyramid:
    """Levels of strides 8 to 128: the finest of 4 would have most of the cells."""
    return feature_pyramid(
        backbone,
        strides=STRIDES[1:],
        channels=channels,
        extra=lambda width: LastLevelP6P7(width if v2 else channels, channels),
        trainable_layers=trainable_layers,
        norm=norm,
        pyramid_norm=None,
    )


def _anchors(sizes: Sequence[tuple[float, ...]], ratios: tuple[float, ...]) -> AnchorGenerator:
    return AnchorGenerator(tuple(sizes), (ratios,) * len(sizes))


def _roi_pool() -> MultiScaleRoIAlign:
    """With the levels' scales given: guessed from a first, small image they may be wrong."""
    pool = MultiScaleRoIAlign([str(i) for i in range(len(STRIDES))], POOLED, sampling_ratio=2)
    pool.scales = [1 / stride for stride in STRIDES]
    pool.map_levels = LevelMapper(2, 5)
    return pool


def _head_norm(norm: Norm) -> Callable[..., nn.Module]:
    return group_norm if norm == "group" else nn.BatchNorm2d


def _check(network: str, given: dict[str, object]) -> None:
    if problems := detector_problems(network, **given):  # type: ignore[arg-type]
        raise InputError("\n  - ".join([f"{network} cannot be built:", *problems]))
