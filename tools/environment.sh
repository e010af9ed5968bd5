#!/bin/sh
# Makes .venv, with everything that pyproject.toml and uv.lock name, on a machine that has only a Python (3.11 to
# 3.14; 3.13, the functions' own runtime, is preferred) and PyPI. `make` runs it whenever the lock changes.
#
#   PYTHON=/path/to/python3.13 make test      uses that interpreter instead of looking for one
set -eu
cd "$(dirname "$0")/.."

# A name on the PATH proves nothing (pyenv's shims exist for versions that are not active, and fail when run), so each
# candidate has to run, be of a fitting version, and be able to make an environment (Debian ships venv separately).
runs() {
    "$1" -c 'import sys, venv, ensurepip, ssl; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' >/dev/null 2>&1
}

find_python() {
    for candidate in ${PYTHON:-} \
        python3.13 \
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.13*/bin/python3.13 \
        "$HOME"/.local/share/uv/python/cpython-3.13*/bin/python3.13 \
        /opt/homebrew/bin/python3.13 /usr/local/bin/python3.13 \
        python3.12 python3.14 python3.11 python3 python \
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[124]*/bin/python3; do
        if runs "$candidate"; then
            # The real file behind a shim or a venv, so that .venv does not depend on either.
            "$candidate" -c 'import os, sys; print(os.path.realpath(sys.executable))'
            return
        fi
    done
    echo "No Python 3.11 to 3.14 with the venv module runs here." >&2
    echo "Install one (Debian: apt install python3 python3-venv), or name it: PYTHON=/path/to/python3 make test" >&2
    exit 1
}

python=$(find_python)
pinned=$(sed -n 's/^uv==\([0-9.]*\).*/\1/p' tools/uv-requirements.txt)
uv=.cache/uv-$pinned/bin/uv
if ! "$uv" --version >/dev/null 2>&1; then
    echo "Installing uv $pinned into .cache/ with $python"
    rm -rf ".cache/uv-$pinned"
    "$python" -m venv ".cache/uv-$pinned"
    ".cache/uv-$pinned/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
        --requirement tools/uv-requirements.txt
fi
ln -sfn "uv-$pinned" .cache/uv

echo "Installing what uv.lock names into .venv with $python"
# A machine's own index settings must not decide what a locked environment holds.
UV_PYTHON_DOWNLOADS=never UV_PYTHON=$python "$uv" sync --frozen --all-groups --quiet
touch .venv/.made-from-lock
