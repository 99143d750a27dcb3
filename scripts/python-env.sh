#!/bin/sh
# Prints the path of a Python interpreter that has the packages of python-requirements.txt.
#
# The first call makes it under .cache/python, which takes a minute or two and about 2 GB; later calls find it.
# TASKVEC_PYTHON names an interpreter to use instead. Everything but the path goes to stderr.
set -eu

if [ -n "${TASKVEC_PYTHON:-}" ]; then
    echo "$TASKVEC_PYTHON"
    exit
fi

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
requirements=$root/scripts/python-requirements.txt
environment=$root/.cache/python
python=$environment/bin/python

mkdir -p "$root/.cache"
# Tests of several crates may come here at once.
if command -v flock >/dev/null; then
    exec 9>"$root/.cache/python.lock"
    flock 9
fi
if cmp -s "$requirements" "$environment/made-from"; then
    echo "$python"
    exit
fi

# PyTorch's wheels for Linux on x86-64 are linked against 4 GB of CUDA libraries that nothing on the CPU calls. Empty
# libraries of the same names do as well, as long as symbols are bound when they are first called.
install_torch_without_cuda() {
    "$python" -m pip install --quiet --no-deps torch==2.15.0 nvidia-cuda-runtime==13.2.86 >&2 || return 1
    site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    libraries=$site/nvidia/cu13/lib
    for name in libcublas.so.13 libcublasLt.so.13 libcudnn.so.9 libcufft.so.12 libcufile.so.0 libcupti.so.13 \
        libcusparse.so.12 libcusparseLt.so.0 libnccl.so.2 libnvrtc.so.13; do
        echo | cc -shared -x c - -Wl,-soname,$name -o "$libraries/$name" || return 1
    done
    # The one variable among all those functions is needed at once, with its version.
    echo 'NVSHMEM { global: *; };' >"$libraries/nvshmem.map"
    echo 'int nvshmem_selected_device_transport;' | cc -shared -x c - -Wl,-soname,libnvshmem_host.so.3 \
        -Wl,--version-script="$libraries/nvshmem.map" -o "$libraries/libnvshmem_host.so.3" || return 1
    echo 'import os; os.environ.setdefault("TORCH_USE_RTLD_GLOBAL", "1")' >"$site/bind_torch_lazily.pth"
    "$python" -c 'import torch; (torch.ones(2, 2) @ torch.ones(2, 2)).sum().item()' >&2
}

echo "making a Python environment in .cache/python" >&2
rm -rf "$environment"
python3 -m venv "$environment" >&2
# What depends on torch would bring all of it along.
grep -Ev '^(torch|peft|accelerate)==' "$requirements" >"$environment/without-torch.txt"
grep -E '^(peft|accelerate)==' "$requirements" >"$environment/on-torch.txt"
# The last six are what torch itself imports.
"$python" -m pip install --quiet -r "$environment/without-torch.txt" \
    filelock typing-extensions sympy networkx fsspec setuptools >&2
if ! { [ "$(uname -sm)" = "Linux x86_64" ] && command -v cc >/dev/null && install_torch_without_cuda; }; then
    echo "installing PyTorch with all it is linked against" >&2
    rm -f "$environment"/lib/python*/site-packages/bind_torch_lazily.pth
    rm -rf "$environment"/lib/python*/site-packages/nvidia/cu13
    "$python" -m pip install --quiet --force-reinstall -r "$requirements" >&2
fi
"$python" -m pip install --quiet --no-deps -r "$environment/on-torch.txt" >&2
"$python" -c 'import torch, transformers, peft' >&2
cp "$requirements" "$environment/made-from"
echo "$python"
