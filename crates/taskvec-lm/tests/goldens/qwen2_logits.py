"""Logits of small random Qwen2 models, as transformers computes them in float32 on the CPU.

    python qwen2_logits.py

writes, for each model below, a directory `qwen2/NAME` with the `config.json` and `model.safetensors`
that transformers itself saves, and `golden.safetensors` with `tokens` (int64, [B, T]) and `logits`
(float32, [B, T, V]). Weights are drawn wide, so that logits and attention are far from uniform, and
stored as bfloat16, which is exact in float32 and halves the files.

The committed files were made with torch 2.15.0 and transformers 5.23.0. The tolerance of the test,
1e-4 on logits up to 7, is some hundred times the rounding of float32 sums of this length.
"""

import pathlib

import torch
from safetensors.torch import save_file
from transformers import Qwen2Config, Qwen2ForCausalLM

HERE = pathlib.Path(__file__).parent / "qwen2"

COMMON = dict(
    hidden_size=16,
    intermediate_size=24,
    num_hidden_layers=2,
    num_attention_heads=4,
    max_position_embeddings=64,
    use_sliding_window=False,
)
MODELS = {
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


def main():
    torch.set_num_threads(1)
    for seed, (name, settings) in enumerate(MODELS.items()):
        torch.manual_seed(seed)
        config = Qwen2Config(**{**COMMON, **settings})
        model = Qwen2ForCausalLM(config).eval()
        with torch.no_grad():
            for tensor_name, tensor in model.named_parameters():
                if tensor_name.endswith("norm.weight"):
                    tensor.uniform_(0.5, 1.5)
                elif tensor_name.endswith("bias"):
                    tensor.normal_(0, 0.5)
                else:
                    tensor.normal_(0, 1.5 / tensor.shape[-1] ** 0.5)
        model = model.to(torch.bfloat16)
        directory = HERE / name
        model.save_pretrained(directory)
        (directory / "generation_config.json").unlink(missing_ok=True)
        # Loaded anew: what was bfloat16 once has rounded rotary frequencies, which are no weights.
        model = Qwen2ForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
        tokens = torch.randint(0, config.vocab_size, (2, 20))
        with torch.no_grad():
            logits = model(tokens).logits
        print(name, f"largest logit {logits.abs().max():.2f}")
        save_file({"tokens": tokens, "logits": logits.contiguous()}, directory / "golden.safetensors")


if __name__ == "__main__":
    main()
