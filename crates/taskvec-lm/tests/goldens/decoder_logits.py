"""Logits of small random models, as transformers computes them in float32 on the CPU.

    python decoder_logits.py

writes, for each model below, a directory `FAMILY/NAME` with the `config.json` and `model.safetensors`
that transformers itself saves, and `golden.safetensors` with `tokens` (int64, [B, T]) and `logits`
(float32, [B, T, V]). Weights are drawn wide, so that logits and attention are far from uniform, and
stored as bfloat16, which is exact in float32 and halves the files.

The committed files were made with torch 2.15.0 and transformers 5.23.0. The tolerance of the test,
1e-4 on logits up to 7, is some hundred times the rounding of float32 sums of this length.
"""

import pathlib

import torch
from safetensors.torch import save_file
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

HERE = pathlib.Path(__file__).parent

COMMON = dict(
    hidden_size=16,
    intermediate_size=24,
    num_hidden_layers=2,
    num_attention_heads=4,
    max_position_embeddings=64,
)
QWEN2 = {
    "tied-heads-4-4": dict(vocab_size=37, num_key_value_heads=4, tie_word_embeddings=True),
    "untied-heads-4-2": dict(
        vocab_size=41,
        num_key_value_heads=2,
        tie_word_embeddings=False,
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
    ),
    "tied-heads-4-1-wide": dict(
        vocab_size=33, num_key_value_heads=1, tie_word_embeddings=True, head_dim=6, rms_norm_eps=1e-5
    ),
    "untied-heads-2-1-deep": dict(
        vocab_size=29,
        num_attention_heads=2,
        num_key_value_heads=1,
        num_hidden_layers=5,
        hidden_size=12,
        intermediate_size=7,
        tie_word_embeddings=False,
    ),
}
QWEN3 = {
    "tied-wide-heads": dict(vocab_size=37, num_key_value_heads=2, head_dim=8, tie_word_embeddings=True),
    "untied": dict(
        vocab_size=31,
        num_key_value_heads=1,
        head_dim=4,
        tie_word_embeddings=False,
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
    ),
}
# Original contexts this short put waves of every kind, kept, divided and between, into the sequence.
LLAMA = {
    "untied": dict(vocab_size=37, num_key_value_heads=2, tie_word_embeddings=False),
    "tied-llama3-rope": dict(
        vocab_size=33,
        num_key_value_heads=1,
        head_dim=12,
        tie_word_embeddings=True,
        rope_parameters={
            "rope_type": "llama3",
            "rope_theta": 100.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32,
        },
    ),
    "linear-rope": dict(
        vocab_size=29,
        num_key_value_heads=4,
        tie_word_embeddings=False,
        rope_parameters={"rope_type": "linear", "rope_theta": 10_000.0, "factor": 4.0},
    ),
}
FAMILIES = {
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, dict(use_sliding_window=False), QWEN2),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, dict(use_sliding_window=False), QWEN3),
    "llama": (LlamaConfig, LlamaForCausalLM, {}, LLAMA),
}


def make(seed, directory, config, model_class):
    torch.manual_seed(seed)
    model = model_class(config).eval()
    with torch.no_grad():
        for tensor_name, tensor in model.named_parameters():
            if tensor_name.endswith("norm.weight"):
                tensor.uniform_(0.5, 1.5)
            elif tensor_name.endswith("bias"):
                tensor.normal_(0, 0.5)
            else:
                tensor.normal_(0, 1.5 / tensor.shape[-1] ** 0.5)
    model = model.to(torch.bfloat16)
    model.save_pretrained(directory)
    (directory / "generation_config.json").unlink(missing_ok=True)
    # Loaded anew: what was bfloat16 once has rounded rotary frequencies, which are no weights.
    model = model_class.from_pretrained(directory, dtype=torch.float32).eval()
    tokens = torch.randint(0, config.vocab_size, (2, 20))
    with torch.no_grad():
        logits = model(tokens).logits
    print(directory.name, f"largest logit {logits.abs().max():.2f}")
    save_file({"tokens": tokens, "logits": logits.contiguous()}, directory / "golden.safetensors")


def main():
    torch.set_num_threads(1)
    for family, (config_class, model_class, extra, models) in FAMILIES.items():
        for seed, (name, settings) in enumerate(models.items()):
            config = config_class(**{**COMMON, **extra, **settings})
            make(seed, HERE / family / name, config, model_class)


if __name__ == "__main__":
    main()
