#!/bin/sh
# Makes .venv and installs the locked requirements, by hash. Does nothing when they have not changed.
#   deploy/setup.sh run   what running needs
#   deploy/setup.sh dev   what the tests need as well
set -eu

VENV=.venv
STAMP=$VENV/.installed

fail() {
    printf '%s\n' "setup: $*" >&2
    exit 1
}

# The first interpreter that is new enough; PYTHON names another one.
find_python() {
    for name in ${PYTHON:-python3.11 python3.12 python3.13 python3}; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s' "$name"
            return
        fi
    done
    fail "no Python 3.11 or newer found. Install one, or name it: make up PYTHON=/path/to/python3"
}

make_venv() {
    python=$(find_python)
    "$python" -c 'import venv, ensurepip' 2>/dev/null ||
        fail "$python has no venv module. Install it (Debian, Ubuntu: apt install python3-venv) and try again."
    printf '%s\n' "setup: making $VENV with $("$python" --version)"
    "$python" -m venv --clear "$VENV" || fail "could not make $VENV"
}

install() {
    set -- -r requirements.lock -r requirements-embedded.lock
    [ "$level" = dev ] && set -- "$@" -r requirements-dev.lock
    printf '%s\n' "setup: installing what the lock files name (the first time this downloads a few hundred MB)"
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes "$@" ||
        fail "the packages could not be installed; pip says why above"
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . ||
        fail "the project could not be installed; pip says why above"
}

level=${1:?run or dev}
[ "$level" = run ] || [ "$level" = dev ] || fail "run or dev, not $level"
cd "$(dirname "$0")/.."

wanted=$(cat requirements.lock requirements-embedded.lock requirements-dev.lock pyproject.toml | cksum)
if [ -x "$VENV/bin/python" ] && [ -x "$VENV/bin/cdp" ] && [ -f "$STAMP" ]; then
    read -r have_level have_sum <"$STAMP" || true
    if [ "$have_sum" = "$wanted" ] && { [ "$have_level" = dev ] || [ "$have_level" = "$level" ]; }; then
        exit 0
    fi
    # Never take away what the tests need.
    [ "$have_level" = dev ] && level=dev
fi
"$VENV/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || make_venv
install
printf '%s %s\n' "$level" "$wanted" >"$STAMP"
