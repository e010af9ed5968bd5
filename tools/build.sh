#!/bin/sh
# Builds the stack into .aws-sam/build: `sam build`, then what makes a cold start fast (tools/trim_build.py). For the
# architecture that samconfig.toml deploys ENV (dev, staging or prod) with, or for another one:
#
#   ARCHITECTURE=arm64 tools/build.sh
#   ARCHITECTURE=arm64 tools/build.sh /tmp/elsewhere      builds into /tmp/elsewhere/build
set -eu
cd "$(dirname "$0")/.."
folder=${1:-.aws-sam}
architecture=${ARCHITECTURE:-$(python -m tools.samconfig "${ENV:-dev}" Architecture)}
ARCHITECTURE=$architecture sam build --build-dir "$folder/build" --cache-dir "$folder/cache" \
    --parameter-overrides "Architecture=$architecture"
python -m tools.built_architecture "$folder/build" "$architecture"
# Bytecode is of use only from the functions' own version. (pyenv's shims exist for versions that do not run.)
if python3.13 -c '' >/dev/null 2>&1; then
    python3.13 tools/trim_build.py "$folder/build"
else
    python tools/trim_build.py "$folder/build"
fi
