#!/bin/sh
# Prints the path of a Python interpreter from which `transformers serve` runs, made under .cache/serve.
exec sh "$(dirname -- "$0")/layer-env.sh" serve 'transformers, fastapi, uvicorn, openai'
