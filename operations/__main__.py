"""Run the command line: `python -m operations --help`."""

import sys

from operations.cli import main

sys.exit(main())
