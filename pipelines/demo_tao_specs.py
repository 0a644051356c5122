"""Texts of the TAO project that `demo_tao` writes."""

from __future__ import annotations

EXPERIMENTS = """\
tao_config:
  gpus: 1
  # of the host, as nvidia-smi counts them; inside a pod GPUs count from 0
  gpu_indices: [1]

experiments:
  dssd_resnet18_01:
    head: dssd
    backbone: resnet18
    repository: pretrained_object_detection
    #key
    dataset: kitti_detection
    export_model: dssd_resnet18_epoch_080
    export_type: fp16

  detectnetv2_resnet18_01:
    head: detectnet_v2
    backbone: resnet18
    repository: pretrained_detectnet_v2
    #key
    dataset: kitti_detection_128x128
    export_model: detectnet_v2_resnet18_epoch_080
    export_type: fp16

  dino_fan_01:
    head: dino
    backbone: fan_small
    repository: pretrained_dino_nvimagenet
    dataset: coco_detection
    export_type: fp16
"""

_CLASSES = ("disc", "square", "triangle")

_MAPPING = "".join(
    f'  target_class_mapping {{\n    key: "{name}"\n    value: "{name}"\n  }}\n'
    for name in _CLASSES
)

_CONVERT = """\
# Records of all images; a quarter is for validation.
kitti_config {
  root_directory_path: "$dataset/full"
  image_dir_name: "image_2"
  label_dir_name: "label_2"
  image_extension: ".png"
  partition_mode: "random"
  num_partitions: 2
  val_split: 25
  num_shards: 2
}
image_directory_path: "$dataset/full"
"""

_DATASET = f"""\
dataset_config {{
  data_sources {{
    tfrecords_path: "$tfrecords/tfrecord*"
    image_directory_path: "$dataset/full"
  }}
  image_extension: "png"
{_MAPPING}  validation_fold: 0
}}
"""

_DSSD = (
    """\
# $experiment of $project
random_seed: 42
dssd_config {
  aspect_ratios_global: "[1.0, 2.0, 0.5, 3.0, 1.0/3.0]"
  scales: "[0.05, 0.1, 0.25, 0.4, 0.55, 0.7, 0.85]"
  two_boxes_for_ar1: true
  clip_boxes: false
  variances: "[0.1, 0.1, 0.2, 0.2]"
  arch: "resnet"
  nlayers: 18
  freeze_bn: false
}
training_config {
  batch_size_per_gpu: 4
  num_epochs: 80
  enable_qat: false
  learning_rate {
    soft_start_annealing_schedule {
      min_learning_rate: 5e-5
      max_learning_rate: 9e-3
      soft_start: 0.1
      annealing: 0.8
    }
  }
  regularizer {
    type: L1
    weight: 3e-5
  }
}
eval_config {
  validation_period_during_training: 10
  average_precision_mode: SAMPLE
  batch_size: 4
  matching_iou_threshold: 0.5
}
nms_config {
  confidence_threshold: 0.01
  clustering_iou_threshold: 0.6
  top_k: 200
}
augmentation_config {
  output_width: 128
  output_height: 128
  output_channel: 3
}
"""
    + _DATASET
)

_POSTPROCESSING = "".join(
    f"""\
  target_class_config {{
    key: "{name}"
    value {{
      clustering_config {{
        coverage_threshold: 0.005
        dbscan_eps: 0.15
        dbscan_min_samples: 0.05
        minimum_bounding_box_height: 4
      }}
    }}
  }}
"""
    for name in _CLASSES
)
_OVERLAP = "".join(
    f'  minimum_detection_ground_truth_overlap {{\n    key: "{name}"\n    value: 0.5\n  }}\n'
    for name in _CLASSES
)
_BOXES = "".join(
    f"""\
  evaluation_box_config {{
    key: "{name}"
    value {{
      minimum_height: 4
      maximum_height: 9999
      minimum_width: 4
      maximum_width: 9999
    }}
  }}
"""
    for name in _CLASSES
)
_COST = "".join(
    f"""\
  target_classes {{
    name: "{name}"
    class_weight: 1.0
    coverage_foreground_weight: 0.05
    objectives {{
      name: "cov"
      initial_weight: 1.0
      weight_target: 1.0
    }}
    objectives {{
      name: "bbox"
      initial_weight: 10.0
      weight_target: 10.0
    }}
  }}
"""
    for name in _CLASSES
)
_RADII = "".join(
    f"""\
  target_class_config {{
    key: "{name}"
    value {{
      cov_center_x: 0.5
      cov_center_y: 0.5
      cov_radius_x: 0.4
      cov_radius_y: 0.4
      bbox_min_radius: 1.0
    }}
  }}
"""
    for name in _CLASSES
)

_DETECTNET = f"""\
random_seed: 42
{_DATASET}augmentation_config {{
  preprocessing {{
    output_image_width: 128
    output_image_height: 128
    min_bbox_width: 1.0
    min_bbox_height: 1.0
    output_image_channel: 3
  }}
}}
postprocessing_config {{
{_POSTPROCESSING}}}
model_config {{
  pretrained_model_file: "$pretrained_model"
  num_layers: 18
  use_batch_norm: true
  objective_set {{
    bbox {{
      scale: 35.0
      offset: 0.5
    }}
    cov {{
    }}
  }}
  arch: "resnet"
}}
evaluation_config {{
  validation_period_during_training: 10
  first_validation_epoch: 10
{_OVERLAP}{_BOXES}  average_precision_mode: INTEGRATE
}}
cost_function_config {{
{_COST}  enable_autoweighting: true
  max_objective_weight: 0.9999
  min_objective_weight: 0.0001
}}
training_config {{
  batch_size_per_gpu: 4
  num_epochs: 80
  learning_rate {{
    soft_start_annealing_schedule {{
      min_learning_rate: 5e-06
      max_learning_rate: 0.0005
      soft_start: 0.1
      annealing: 0.7
    }}
  }}
  regularizer {{
    type: L1
    weight: 3e-09
  }}
  checkpoint_interval: 10
}}
bbox_rasterizer_config {{
{_RADII}  deadzone_radius: 0.6
}}
"""

_DINO = """\
train:
  num_gpus: 1
  num_epochs: 12
  validation_interval: 1
  checkpoint_interval: 1
  optim:
    lr: 2e-4
    lr_backbone: 2e-05
    lr_steps: [11]
dataset:
  train_data_sources:
    - image_dir: $dataset/train/images
      json_file: $dataset/train/annotations.json
  val_data_sources:
    - image_dir: $dataset/val/images
      json_file: $dataset/val/annotations.json
  test_data_sources:
    image_dir: $dataset/val/images
    json_file: $dataset/val/annotations.json
  num_classes: 4
  batch_size: 4
  workers: 2
model:
  backbone: fan_small
  pretrained_backbone_path: $pretrained_model
  num_queries: 300
evaluate:
  checkpoint: ${results_dir}/train/dino_model_latest.pth
export:
  input_width: 128
  input_height: 128
gen_trt_engine:
  tensorrt:
    data_type: FP16
"""

SPECS: dict[str, dict[str, str]] = {
    "dssd_resnet18_01": {"convert.txt": _CONVERT, "train.txt": _DSSD},
    "detectnetv2_resnet18_01": {"convert.txt": _CONVERT, "train.txt": _DETECTNET},
    "dino_fan_01": {"train.yaml": _DINO},
}
"""Experiment → name of the file → specification."""
