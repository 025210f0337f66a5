"""A run on a disk that fills up, and one after room was made: started where the home may be mounted.

Run it by `unshare -rm python -m benchmarks.chaos_disk HOME MIB`; nobody else sees the disk.
"""

import argparse
import json
import subprocess
from pathlib import Path

from benchmarks.chaos_home import HUNG_SECONDS, Home

ROOMY = "2g"


def main() -> None:
    """Print how the run on the full disk ended, and what the next one ended in."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("mib", type=int, help="size of the disk at first")
    options = parser.parse_args()
    home = Home(options.home)
    home.folder.mkdir(parents=True)
    _mount(home.folder, f"size={options.mib}m")
    code = home.start().wait(HUNG_SECONDS)
    said = home.log.read_text(errors="replace")
    finished = [ref.kind for ref in home.finished().values()]
    _mount(home.folder, f"remount,size={ROOMY}")
    with home.watched():
        home.finish(home.start())
    print(
        json.dumps(
            {
                "exit_code": code,
                "told": "bytes free" in said,
                "said": said[-300:],
                "finished_before": finished,
                "digests": home.digests(),
                "twice": home.twice,
                "lost": home.lost,
            }
        )
    )


def _mount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)


if __name__ == "__main__":
    main()
