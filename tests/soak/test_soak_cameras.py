"""The judge's model comes out of its cases byte for byte."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge.cameras.trees import MODEL_FILE

pytestmark = pytest.mark.soak


def test_training_anew_gives_the_shipped_model_byte_for_byte(tmp_path: Path) -> None:
    words = ["cameras", "train", "--to", str(tmp_path / "model.json")]
    subprocess.run([sys.executable, "-m", "utaa.cli", *words], check=True)
    assert (tmp_path / "model.json").read_bytes() == MODEL_FILE.read_bytes()
