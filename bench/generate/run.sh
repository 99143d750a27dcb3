#!/bin/sh
# Times generation at batch 1 and 16: taskvec beside transformers, then llama.cpp on the same checkpoint.
#
#     bench/generate/run.sh TOKENIZER [ROUNDS]
#
# TOKENIZER is a directory with Qwen2.5's vocab.json and merges.txt, gzipped or not. The checkpoint of random weights and its
# GGUF form, 3 GB together, are kept in target/bench-generate. One round of both sizes takes about ten minutes on two cores.
set -eu

tokenizer=$1
rounds=${2:-2}
here=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
checkpoint=$here/target/bench-generate
cd "$here"
cargo build --release -p bench-generate
mkdir -p "$checkpoint"
"$(scripts/python-env.sh)" bench/generate/compare.py --keep "$checkpoint" --rounds "$rounds"
"$(scripts/llama-env.sh)" bench/generate/llama_cpp.py "$checkpoint" "$tokenizer" --rounds "$rounds"
