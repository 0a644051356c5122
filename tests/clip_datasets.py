"""Makes ClipDataset directories out of video files, as dataset_sync would, for tests."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from components.core.artifacts.clips import Clip, ClipDataset
from components.core.video.probe import probe


def write_dataset(directory: Path, files: Mapping[str, Path]) -> ClipDataset:
    """Links `files` (clip id `<class>/<name>` → video) into a new ClipDataset directory."""
    directory.mkdir()
    clips = []
    for clip_id, source in files.items():
        path = directory / "clips" / clip_id
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(source.absolute())
        found = probe(source)
        clips.append(
            Clip(
                id=clip_id,
                path=f"clips/{clip_id}",
                labels=[clip_id.partition("/")[0]],
                size=source.stat().st_size,
                checksum=hashlib.sha256(source.read_bytes()).hexdigest(),
                duration=found.duration,
                fps=found.fps,
                frames=found.frames,
                width=found.width,
                height=found.height,
                rotation=found.rotation,
                error=found.error,
            )
        )
    dataset = ClipDataset.create(sorted({clip.labels[0] for clip in clips}), clips)
    dataset.save(directory)
    return dataset
