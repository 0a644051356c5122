"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real sample data: beside the repository, or named in the environment."""
    folder = Path(os.environ.get("TRAINYARD_SHARED_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no sample data in {folder}; set TRAINYARD_SHARED_DATA to its folder")
    return folder
