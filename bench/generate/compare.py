"""Times generation at the shape of Qwen2.5-0.5B with random weights: taskvec beside transformers, alternating.

    cargo build --release -p bench-generate
    "$(scripts/python-env.sh)" bench/generate/compare.py [--rounds 3] [--engine target/release/bench-generate] [--keep DIR]

Prompts of 256 random tokens, 128 new tokens each, greedy, batch 1 and 16, float32 on all cores on both sides; transformers
runs its own `generate` with its cache. Figures are medians over rounds: seconds for the prompt and the first token
("prefill"), new tokens per second after that ("decode"), and seconds for the whole ("all"). A ratio above 1 means that taskvec is faster. Loading is not
timed. The tokens both engines choose are compared as well: random weights leave near-ties, so a late difference is no
error, and the share of equal tokens is printed. llama_cpp.py times llama.cpp on the checkpoint that `--keep` leaves.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

PROMPT, NEW = 256, 128
WARM_UP = 8
# Qwen2.5-0.5B's config.json.
SHAPE = dict(
    vocab_size=151936, hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14,
    num_key_value_heads=2, max_position_embeddings=32768, rms_norm_eps=1e-6, tie_word_embeddings=True,
    rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
)


class Taskvec:
    def __init__(self, engine: str, checkpoint: Path):
        self.process = subprocess.Popen([engine, str(checkpoint)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, tokens: list[list[int]], new: int) -> tuple[float, list[list[int]]]:
        self.process.stdin.write(json.dumps({"tokens": tokens, "max_new_tokens": new}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        return answer["seconds"], answer["tokens"]


class Transformers:
    def __init__(self, checkpoint: Path):
        self.model = Qwen2ForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()

    def __call__(self, tokens: list[list[int]], new: int) -> tuple[float, list[list[int]]]:
        prompts = torch.tensor(tokens)
        began = time.perf_counter()
        with torch.no_grad():
            all_tokens = self.model.generate(
                prompts, attention_mask=torch.ones_like(prompts), do_sample=False, min_new_tokens=new,
                max_new_tokens=new, eos_token_id=None, pad_token_id=0,
            )
        return time.perf_counter() - began, all_tokens[:, prompts.shape[1] :].tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="target/release/bench-generate")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, action="append", help="batch size; may be given several times [1, 16]")
    parser.add_argument("--keep", type=Path, help="directory for the checkpoint, made unless it is there")
    arguments = parser.parse_args()
    torch.set_num_threads(os.cpu_count() or 1)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as temporary:
        checkpoint = arguments.keep or Path(temporary)
        if not (checkpoint / "config.json").exists():
            Qwen2ForCausalLM(Qwen2Config(**SHAPE)).to(torch.bfloat16).save_pretrained(checkpoint)
        sides = {"taskvec": Taskvec(arguments.engine, checkpoint), "transformers": Transformers(checkpoint)}
        for batch in arguments.batch or [1, 16]:
            prefill = {name: [] for name in sides}
            decode = {name: [] for name in sides}
            whole = {name: [] for name in sides}
            for turn in range(arguments.rounds + 1):
                prompts = torch.randint(0, SHAPE["vocab_size"], (batch, PROMPT)).tolist()
                chosen = {}
                # The first round warms caches and allocators up.
                new = NEW if turn > 0 else WARM_UP
                for name, generate in sides.items():
                    first, _ = generate(prompts, 1)
                    seconds, chosen[name] = generate(prompts, new)
                    if turn > 0:
                        prefill[name].append(first)
                        whole[name].append(seconds)
                        decode[name].append(batch * (NEW - 1) / (seconds - first))
                ours, theirs = (sum(chosen[name], []) for name in sides)
                same = sum(a == b for a, b in zip(ours, theirs)) / len(ours)
                print(f"batch {batch}, round {turn}: {100 * same:.1f} % of tokens equal", flush=True)
            for what, figures, unit in [("prefill", prefill, "s"), ("decode", decode, "tokens/s"), ("all", whole, "s")]:
                ours, theirs = (statistics.median(figures[name]) for name in sides)
                ratio = theirs / ours if unit == "s" else ours / theirs
                print(f"batch {batch} {what}: taskvec {ours:.3g} {unit}, transformers {theirs:.3g} {unit}, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
