"""The process of the Prefect worker: `prefect worker start`, begun anew when it gives up.

It is run by its path (`python -P worker_process.py --pool NAME`), so it needs nothing but the standard
library and Prefect; `servers` imports it for that path only. A worker ends by itself when its server does
not answer for some minutes, and then nobody would start the nights. The new beginning is this very process,
so whoever looks for it by number and birth finds it.
"""

import argparse
import os
import runpy
import signal
import sys
import time

_PAUSE_SECONDS = 10.0


def main() -> None:
    """Work until told to stop."""
    parser = argparse.ArgumentParser(description="Work for a pool of Prefect's.")
    parser.add_argument("--pool", required=True, help="pool whose runs are started; it must be there")
    arguments = parser.parse_args()
    again = [sys.executable, "-P", *sys.argv]
    command = "prefect --no-prompt worker start --with-healthcheck --install-policy never"
    sys.argv = [*command.split(), "--pool", arguments.pool, "--name", arguments.pool]
    try:
        runpy.run_module("prefect", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if not end.code:
            raise
    else:
        return
    # Prefect's own handlers would try to end a worker that is gone.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    time.sleep(_PAUSE_SECONDS)
    os.execv(sys.executable, again)


if __name__ == "__main__":
    main()
