"""Workers that start at once: `python -m tests.nursery CONFIG LOG` forks one for each line of input.

Whatever a worker needs has been imported before, which takes a second of processor time each; so one can be
killed every second on a small machine and the others still be at work. The answer to a line is a process id.
"""

import os
import signal
import sys
from pathlib import Path

SETTLED = "The worker is running."


def main(config: str, log: str) -> None:
    import adapter.cli
    import adapter.runtime
    import adapter.scheduler.clockwork
    import adapter.scheduler.deadlines
    import adapter.scheduler.delivering
    import adapter.scheduler.duties
    import adapter.web.metrics  # noqa: F401  # all of these for the children
    from adapter.fhir.validation import warm

    warm()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead are nobody's
    for _ in sys.stdin:
        child = os.fork()
        if not child:
            work(config, log)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()


def work(config: str, log: str) -> None:
    """Be a worker, as the command line starts one."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with Path(log).open("ab") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    os.close(0)
    os.environ["DISCHARGE_ADAPTER_WORKER_PORT"] = "0"
    sys.argv = ["discharge-adapter", "--config", config, "run", "--role", "worker"]
    from adapter.cli import main as command

    try:
        command()
    finally:
        os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
