"""Times SFT and GRPO of a micro model: taskvec beside PyTorch, alternating, in one run.

    cargo build --release
    "$(scripts/python-env.sh)" bench/train/compare.py [--taskvec target/release/taskvec] [--rounds 3]

Both sides start from `micro:base` in float32 and use all cores. SFT: the same rows, the same batch, AdamW, clipping;
figures are tokens (of real text, padding not counted) per second, the median over steps after the first five. GRPO:
16 prompts, 8 completions each of at most 64 tokens at temperature 1, one on-policy step; figures are seconds per step,
medians likewise. PyTorch's side is transformers' own model, `generate` with its cache, and the loss written out, which
is what TRL runs less its bookkeeping. A ratio above 1 means that taskvec is faster.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

SFT_BATCH, SFT_STEPS = 32, 30
GRPO_PROMPTS, GRPO_GROUP, GRPO_LENGTH, GRPO_STEPS = 16, 8, 64, 8
WARM_UP = {"sft": 5, "grpo": 2}
NAMES = ["Mia", "Ann", "Eva", "Ben", "Tom", "Sam", "Leo", "Max"]
THINGS = ["apples", "pears", "plums", "figs", "cats", "dogs", "hens", "cows"]


def row(source: random.Random) -> dict[str, str]:
    """A word problem as the micro world tells them, with its steps."""
    name, thing, value = source.choice(NAMES), source.choice(THINGS), source.randint(2, 12)
    story, steps = f"{name} has {value} {thing}.", ""
    for _ in range(source.randint(2, 4)):
        more = source.randint(1, 6)
        story += f" Then {'she' if name in NAMES[:3] else 'he'} finds {more} more."
        steps += f"{value}+{more}={value + more}. "
        value += more
    prompt = f"Q: {story} How many {thing} does {name} have now?\nA:\n"
    return {"prompt": prompt, "completion": f"{steps}The answer is {value}."}


def metrics(directory: Path) -> list[dict]:
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def taskvec_sft(taskvec: str, rows: Path, folder: Path) -> float:
    out = folder / "sft"
    command = [taskvec, "sft", "-q", "--model", "micro:base", "--data", str(rows), "-o", str(out), "--overwrite"]
    command += ["--max-steps", str(SFT_STEPS), "--per-device-train-batch-size", str(SFT_BATCH)]
    command += ["--learning-rate", "3e-4", "--weight-decay", "0.01", "--save-steps", "1000"]
    subprocess.run(command, check=True)
    steps = metrics(folder / "sft.training")[WARM_UP["sft"] :]
    subprocess.run(["rm", "-rf", str(out), f"{out}.training"], check=True)
    return statistics.median(step["tokens_per_second"] for step in steps)


def taskvec_grpo(taskvec: str, folder: Path) -> float:
    out = folder / "grpo"
    command = [taskvec, "grpo", "-q", "--model", "micro:base", "--task", "micro-gsm", "-o", str(out), "--overwrite"]
    command += ["--max-steps", str(GRPO_STEPS), "--prompts-per-step", str(GRPO_PROMPTS)]
    command += ["--num-generations", str(GRPO_GROUP), "--max-completion-length", str(GRPO_LENGTH)]
    command += ["--learning-rate", "1.5e-4", "--save-steps", "1000"]
    subprocess.run(command, check=True)
    steps = metrics(folder / "grpo.training")[WARM_UP["grpo"] :]
    subprocess.run(["rm", "-rf", str(out), f"{out}.training"], check=True)
    return statistics.median(step["seconds"] for step in steps)


def load(checkpoint: Path):
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint, padding_side="left")
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, betas=(0.9, 0.95), weight_decay=0.01)
    return model, tokenizer, optimizer


def torch_sft(checkpoint: Path, rows: list[dict[str, str]]) -> float:
    model, tokenizer, optimizer = load(checkpoint)
    end, speeds = tokenizer.eos_token_id, []
    for step in range(SFT_STEPS):
        began = time.perf_counter()
        examples = []
        for example in rows[step * SFT_BATCH : (step + 1) * SFT_BATCH]:
            prompt, completion = tokenizer(example["prompt"]).input_ids, tokenizer(example["completion"]).input_ids
            examples.append((prompt + completion + [end], [-100] * len(prompt) + completion + [end]))
        length = max(len(tokens) for tokens, _ in examples)
        pad = lambda lists, value: torch.tensor([items + [value] * (length - len(items)) for items in lists])
        tokens = pad([tokens for tokens, _ in examples], end)
        mask = pad([[1] * len(tokens) for tokens, _ in examples], 0)
        labels = pad([labels for _, labels in examples], -100)
        model(input_ids=tokens, attention_mask=mask, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        speeds.append(int(mask.sum()) / (time.perf_counter() - began))
    return statistics.median(speeds[WARM_UP["sft"] :])


def torch_grpo(checkpoint: Path, rows: list[dict[str, str]]) -> float:
    model, tokenizer, optimizer = load(checkpoint)
    end, seconds = tokenizer.eos_token_id, []
    for step in range(GRPO_STEPS):
        began = time.perf_counter()
        problems = rows[step * GRPO_PROMPTS : (step + 1) * GRPO_PROMPTS]
        prompts = tokenizer([problem["prompt"] for problem in problems], padding=True, return_tensors="pt")
        length = prompts.input_ids.shape[1]
        with torch.no_grad():
            sampled = model.generate(
                **prompts, do_sample=True, temperature=1.0, top_k=0, top_p=1.0, max_new_tokens=GRPO_LENGTH,
                num_return_sequences=GRPO_GROUP, eos_token_id=end, pad_token_id=end,
            )
        completions = sampled[:, length:]
        # Everything up to the first end, that included, was sampled; the rest is padding.
        ends = (completions == end).int()
        real = (ends.cumsum(1) - ends) == 0
        texts = tokenizer.batch_decode(completions, skip_special_tokens=True)
        wanted = [problems[index // GRPO_GROUP]["completion"].rsplit("The answer is ")[-1] for index in range(len(texts))]
        rewards = torch.tensor([float(text.endswith(answer)) for text, answer in zip(texts, wanted)])
        groups = rewards.view(GRPO_PROMPTS, GRPO_GROUP)
        advantages = ((groups - groups.mean(1, True)) / (groups.std(1, keepdim=True) + 1e-4)).view(-1, 1)
        mask = torch.cat([prompts.attention_mask.repeat_interleave(GRPO_GROUP, 0), real.long()], 1)
        logits = model(input_ids=sampled, attention_mask=mask, logits_to_keep=completions.shape[1] + 1).logits[:, :-1]
        logp = torch.log_softmax(logits, -1).gather(2, completions.unsqueeze(2)).squeeze(2)
        loss = -(torch.exp(logp - logp.detach()) * advantages * real).sum() / real.sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[WARM_UP["grpo"] :])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--taskvec", default="target/release/taskvec")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(os.cpu_count() or 1)
    source = random.Random(0)
    rows = [row(source) for _ in range(SFT_BATCH * SFT_STEPS)]
    results: dict[str, list[float]] = {name: [] for name in ("sft", "torch sft", "grpo", "torch grpo")}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data = folder / "rows.jsonl"
        data.write_text("".join(json.dumps(each) + "\n" for each in rows))
        subprocess.run([arguments.taskvec, "-q", "micro", "export", "--out", str(folder / "micro")], check=True)
        base = folder / "micro" / "base"
        for _ in range(arguments.rounds):
            results["sft"].append(taskvec_sft(arguments.taskvec, data, folder))
            results["torch sft"].append(torch_sft(base, rows))
            results["grpo"].append(taskvec_grpo(arguments.taskvec, folder))
            results["torch grpo"].append(torch_grpo(base, rows))
    middle = {name: statistics.median(values) for name, values in results.items()}
    print(f"SFT   taskvec {middle['sft']:,.0f} tokens/s   PyTorch {middle['torch sft']:,.0f} tokens/s   "
          f"ratio {middle['sft'] / middle['torch sft']:.2f}")
    print(f"GRPO  taskvec {middle['grpo']:.2f} s/step   PyTorch {middle['torch grpo']:.2f} s/step   "
          f"ratio {middle['torch grpo'] / middle['grpo']:.2f}")


if __name__ == "__main__":
    main()
