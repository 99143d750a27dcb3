#!/bin/sh
# Prints the path of a Python interpreter that has lm-evaluation-harness, as harness-requirements.txt pins it.
#
# The first call makes it under .cache/harness, which takes some minutes and about 1 GB; later calls find it.
# TASKVEC_HARNESS_PYTHON names an interpreter to use instead. Everything but the path goes to stderr.
set -eu

if [ -n "${TASKVEC_HARNESS_PYTHON:-}" ]; then
    echo "$TASKVEC_HARNESS_PYTHON"
    exit
fi

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
requirements=$root/scripts/harness-requirements.txt
environment=$root/.cache/harness

mkdir -p "$root/.cache"
if command -v flock >/dev/null; then
    exec 9>"$root/.cache/harness.lock"
    flock 9
fi
if ! cmp -s "$requirements" "$environment/made-from"; then
    echo "making a Python environment in .cache/harness" >&2
    rm -rf "$environment"
    python3 -m venv "$environment" >&2
    "$environment/bin/python" -m pip install --quiet -r "$requirements" >&2
    "$environment/bin/python" -c 'import lm_eval, transformers' >&2
    cp "$requirements" "$environment/made-from"
fi
echo "$environment/bin/python"
