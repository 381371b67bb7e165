"""The unit tests of the JavaScript modules, run by node."""

import shutil
import subprocess
from pathlib import Path

from playwright._impl._driver import compute_driver_executable

ROOT = Path(__file__).resolve().parents[2]


def test_the_modules_pass_their_own_tests():
    tests = sorted(str(path) for path in ROOT.glob("tests/js/*.test.mjs"))
    assert tests
    # Playwright brings a node of its own for machines that have none.
    node = shutil.which("node") or str(compute_driver_executable()[0])
    done = subprocess.run(
        [node, "--test", *tests], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
