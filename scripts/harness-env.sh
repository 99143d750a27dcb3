#!/bin/sh
# Prints the path of a Python interpreter that has lm-evaluation-harness: that of python-env.sh, and beside it the
# packages of harness-requirements.txt, in an environment of its own under .cache/harness.
# TASKVEC_HARNESS_PYTHON names an interpreter to use instead. Everything but the path goes to stderr.
set -eu

if [ -n "${TASKVEC_HARNESS_PYTHON:-}" ]; then
    echo "$TASKVEC_HARNESS_PYTHON"
    exit
fi

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
requirements=$root/scripts/harness-requirements.txt
environment=$root/.cache/harness
python=$environment/bin/python
below=$(sh "$root/scripts/python-env.sh")

mkdir -p "$root/.cache"
if command -v flock >/dev/null; then
    exec 9>"$root/.cache/harness.lock"
    flock 9
fi
if { echo "$below" && cat "$requirements"; } | cmp -s - "$environment/made-from"; then
    echo "$python"
    exit
fi

echo "making a Python environment in .cache/harness" >&2
rm -rf "$environment"
"$below" -m venv "$environment" >&2
# The packages below are seen from here, and nothing is added to them.
packages=$("$below" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo "import site; site.addsitedir('$packages')" >"$site/below.pth"
"$python" -m pip install --quiet -r "$requirements" >&2
"$python" -c 'import lm_eval, transformers, torch' >&2
{ echo "$below" && cat "$requirements"; } >"$environment/made-from"
echo "$python"
