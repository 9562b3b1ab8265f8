"""The ``kvopt`` command and ``python -m kvopt``: signals are obeyed from here on, also while the rest is loading."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Load and run the command line; a signal that nothing else takes care of ends it with exit code 130."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        from kvopt.cli import main as run

        run()
    except KeyboardInterrupt:
        print("kvopt: interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
