#!/bin/sh
# Builds the stack into .aws-sam/build: `sam build`, then what makes a cold start fast (tools/trim_build.py).
# Needs a Python 3.13 with pip on the PATH, the functions' own version: .venv has it where it was made with 3.13.
set -eu
cd "$(dirname "$0")/.."
if ! python3.13 -m pip --version >/dev/null 2>&1; then
    echo "There is no Python 3.13 with pip on the PATH, which sam build needs: install one, then make clean build" >&2
    exit 1
fi
# A machine's own index settings must not decide what the functions run on.
PIP_CONFIG_FILE=/dev/null PIP_REQUIRE_HASHES=1 sam build "$@"
python3.13 tools/trim_build.py .aws-sam/build
