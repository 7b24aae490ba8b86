"""What is committed of the wire is what proto/ says today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

GENERATE = Path(__file__).parent.parent / "generate.py"


@pytest.mark.skipif(not GENERATE.exists(), reason="only the repository has proto/")
def test_the_generated_code_is_up_to_date() -> None:
    checked = subprocess.run([sys.executable, str(GENERATE), "--check"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
