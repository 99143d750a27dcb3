#!/bin/sh
# Prints the path of a Python interpreter from which bench/generate/llama_cpp.py runs, made under .cache/llama.
exec sh "$(dirname -- "$0")/layer-env.sh" llama 'gguf, xllamacpp'
