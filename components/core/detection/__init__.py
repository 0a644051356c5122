"""What trainers, evaluation and annotation of detectors share: results, sizes, matching."""
