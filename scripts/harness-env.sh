#!/bin/sh
# Prints the path of a Python interpreter that has lm-evaluation-harness, made under .cache/harness.
# TASKVEC_HARNESS_PYTHON names an interpreter to use instead.
if [ -n "${TASKVEC_HARNESS_PYTHON:-}" ]; then
    echo "$TASKVEC_HARNESS_PYTHON"
    exit
fi
exec sh "$(dirname -- "$0")/layer-env.sh" harness 'lm_eval, transformers, torch'
