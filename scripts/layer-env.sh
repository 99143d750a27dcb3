#!/bin/sh
# layer-env.sh NAME MODULES: prints the path of a Python interpreter that has the packages of NAME-requirements.txt beside those
# of python-env.sh, in an environment of its own under .cache/NAME. MODULES are imported once to see that it works.
#
# Everything but the path goes to stderr.
set -eu

name=$1
modules=$2
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
requirements=$root/scripts/$name-requirements.txt
environment=$root/.cache/$name
python=$environment/bin/python
below=$(sh "$root/scripts/python-env.sh")

mkdir -p "$root/.cache"
if command -v flock >/dev/null; then
    exec 9>"$root/.cache/$name.lock"
    flock 9
fi
if { echo "$below" && cat "$requirements"; } | cmp -s - "$environment/made-from"; then
    echo "$python"
    exit
fi

echo "making a Python environment in .cache/$name" >&2
rm -rf "$environment"
"$below" -m venv "$environment" >&2
# The packages below are seen from here, and nothing is added to them.
packages=$("$below" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo "import site; site.addsitedir('$packages')" >"$site/below.pth"
"$python" -m pip install --quiet -r "$requirements" >&2
"$python" -c "import $modules" >&2
{ echo "$below" && cat "$requirements"; } >"$environment/made-from"
echo "$python"
