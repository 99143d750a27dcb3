#!/bin/sh
# Prints the path of a Python interpreter from which `transformers serve` runs: that of python-env.sh, and beside it the
# packages of serve-requirements.txt, in an environment of its own under .cache/serve.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
requirements=$root/scripts/serve-requirements.txt
environment=$root/.cache/serve
python=$environment/bin/python
below=$(sh "$root/scripts/python-env.sh")

mkdir -p "$root/.cache"
if command -v flock >/dev/null; then
    exec 9>"$root/.cache/serve.lock"
    flock 9
fi
if { echo "$below" && cat "$requirements"; } | cmp -s - "$environment/made-from"; then
    echo "$python"
    exit
fi

echo "making a Python environment in .cache/serve" >&2
rm -rf "$environment"
"$below" -m venv "$environment" >&2
# The packages below are seen from here, and nothing is added to them.
packages=$("$below" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo "import site; site.addsitedir('$packages')" >"$site/below.pth"
"$python" -m pip install --quiet -r "$requirements" >&2
"$python" -c 'import transformers, fastapi, uvicorn, openai' >&2
{ echo "$below" && cat "$requirements"; } >"$environment/made-from"
echo "$python"
