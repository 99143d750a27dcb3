"""Ten optimiser steps of a tiny Qwen2 in PyTorch: the golden of `tests/it/training_golden.rs`.

Usage: python adamw_steps.py, in this directory. Writes adamw_steps.safetensors (weights before and after,
Hugging Face names prefixed by `before.` and `after.`) and adamw_steps.json (batch, settings, loss, learning
rate and gradient norm of every step, and the versions that made them).

Everything is float32 on one thread. The loss is the mean over loss tokens of the whole batch, decay is on
matrices only, the schedule is transformers' own `cosine_with_min_lr`, clipping is `clip_grad_norm_`.
"""

import json

import torch
import transformers
from safetensors.torch import save_file
from transformers import Qwen2Config, Qwen2ForCausalLM
from transformers.optimization import get_cosine_with_min_lr_schedule_with_warmup

SETTINGS = {
    "learning_rate": 0.01,
    "warmup_steps": 3,
    "total_steps": 10,
    "min_lr_rate": 0.1,
    "max_grad_norm": 0.5,
    "weight_decay": 0.1,
    "adam_beta1": 0.9,
    "adam_beta2": 0.95,
    "adam_epsilon": 1e-8,
}
CONFIG = {
    "vocab_size": 32,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": True,
}
# Tokens, and how many of them are the prompt, which carries no loss.
EXAMPLES = [
    ([3, 17, 9, 22, 5, 1, 30, 11], 3),
    ([8, 2, 31, 4], 1),
    ([12, 12, 7, 19, 26, 0, 14, 3, 21, 6, 29], 6),
    ([1, 5, 25, 18, 13, 2], 2),
]
IGNORED = -100


def main():
    torch.set_num_threads(1)
    torch.manual_seed(7)
    config = Qwen2Config(
        **CONFIG,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        attn_implementation="eager",
        initializer_range=0.3,
        use_cache=False,
    )
    model = Qwen2ForCausalLM(config).float().train()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Biases and norms begin as constants, which would hide errors in their use.
            if parameter.dim() == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    names = [name for name, _ in model.named_parameters()]
    before = {f"before.{name}": p.detach().clone() for name, p in model.named_parameters()}

    longest = max(len(tokens) for tokens, _ in EXAMPLES)
    inputs = torch.zeros(len(EXAMPLES), longest, dtype=torch.long)
    mask = torch.zeros(len(EXAMPLES), longest, dtype=torch.long)
    labels = torch.full((len(EXAMPLES), longest), IGNORED)
    for row, (tokens, prompt) in enumerate(EXAMPLES):
        inputs[row, : len(tokens)] = torch.tensor(tokens)
        mask[row, : len(tokens)] = 1
        labels[row, prompt : len(tokens)] = torch.tensor(tokens[prompt:])

    decayed = [p for p in model.parameters() if p.dim() > 1]
    plain = [p for p in model.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": SETTINGS["weight_decay"]},
            {"params": plain, "weight_decay": 0.0},
        ],
        lr=SETTINGS["learning_rate"],
        betas=(SETTINGS["adam_beta1"], SETTINGS["adam_beta2"]),
        eps=SETTINGS["adam_epsilon"],
    )
    schedule = get_cosine_with_min_lr_schedule_with_warmup(
        optimizer,
        num_warmup_steps=SETTINGS["warmup_steps"],
        num_training_steps=SETTINGS["total_steps"],
        min_lr_rate=SETTINGS["min_lr_rate"],
    )
    steps = []
    for _ in range(SETTINGS["total_steps"]):
        logits = model(input_ids=inputs, attention_mask=mask).logits
        loss = torch.nn.functional.cross_entropy(
            logits[:, :-1].reshape(-1, logits.shape[-1]),
            labels[:, 1:].reshape(-1),
            ignore_index=IGNORED,
        )
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), SETTINGS["max_grad_norm"])
        steps.append(
            {
                "loss": loss.item(),
                "grad_norm": norm.item(),
                "learning_rate": schedule.get_last_lr()[0],
            }
        )
        optimizer.step()
        schedule.step()

    after = {f"after.{name}": p.detach().clone() for name, p in model.named_parameters()}
    save_file({**before, **after}, "adamw_steps.safetensors")
    golden = {
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "config": {**CONFIG, "rope_theta": 10000.0},
        "settings": SETTINGS,
        "examples": [{"tokens": tokens, "prompt": prompt} for tokens, prompt in EXAMPLES],
        "tensors": names,
        "steps": steps,
    }
    with open("adamw_steps.json", "w") as file:
        json.dump(golden, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
