"""The worker that gave up begins anew as the same process; one that was told to stop does not."""

import subprocess
import sys
from pathlib import Path

import pytest

from tasks.shared import worker_process

# Fails as often as there are files to take; then it ends as told.
_PREFECT = """
import pathlib, os, sys
here = pathlib.Path(__file__).parent.parent
with (here / "calls").open("a") as calls:
    print(os.getpid(), *sys.argv[1:], file=calls)
left = sorted(here.glob("fail*"))
if left:
    left[0].unlink()
    sys.exit(1)
"""


@pytest.mark.timeout(60)
def test_it_begins_anew_until_it_ends_well(tmp_path: Path) -> None:
    (tmp_path / "prefect").mkdir()
    (tmp_path / "prefect" / "__init__.py").write_text("")
    (tmp_path / "prefect" / "__main__.py").write_text(_PREFECT)
    for number in range(2):
        (tmp_path / f"fail{number}").write_text("")
    script = (
        Path(worker_process.__file__).read_text().replace("_PAUSE_SECONDS = 10.0", "_PAUSE_SECONDS = 0.1")
    )
    path = tmp_path / "worker_process.py"
    path.write_text(script)
    process = subprocess.run(
        [sys.executable, "-P", str(path), "--pool", "retort"], env={"PYTHONPATH": str(tmp_path)}, check=False
    )
    assert process.returncode == 0
    lines = [line.split(maxsplit=1) for line in (tmp_path / "calls").read_text().splitlines()]
    assert len(lines) == 3
    assert len({pid for pid, _ in lines}) == 1
    assert {told for _, told in lines} == {
        "--no-prompt worker start --with-healthcheck --install-policy never --pool retort --name retort"
    }
