"""Run the command line; `./operate` does, with the environment that it needs."""

import os
import sys


def run() -> int:
    """Run it and return its exit code; ^C ends it quietly at any moment, also while the code is being loaded."""
    try:
        from operations.cli import main
        from operations.session import INTERRUPTED

        code = main()
        if code == INTERRUPTED:
            sys.stdout.flush()
            # At once: threads that still read a table have nothing to lose.
            os._exit(code)
    except KeyboardInterrupt:
        return 130
    return code


sys.exit(run())
