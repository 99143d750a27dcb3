"""Writes the golden files of `tests/it/algebra/peft.rs`: small random adapters, and what peft 0.21.2 merges them to.

    python from_peft.py     # needs peft==0.21.2, transformers, torch; writes to peft/ beside this file

The base is a Qwen2 decoder of two layers (and a GPT-2 of one, whose modules keep their weights as `[in, out]`), drawn at
random in single precision. Each adapter gets random factors, is saved by `save_pretrained`, and is merged by
`merge_and_unload`, which computes in single precision. Of the merged model only the weights that the adapter changes are
kept: that the others stay is no matter of arithmetic.
"""

import shutil
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel, Qwen2Config, Qwen2ForCausalLM

OUTPUT = Path(__file__).parent / "peft"

ATTENTION = ["q_proj", "v_proj"]
EVERYTHING = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
CASES = {
    "lora": ("qwen2", dict(r=3, lora_alpha=5, target_modules=EVERYTHING)),
    "rslora": ("qwen2", dict(r=4, lora_alpha=3, target_modules=ATTENTION, use_rslora=True)),
    "patterns": (
        "qwen2",
        dict(
            r=2,
            lora_alpha=3,
            target_modules=["q_proj", "v_proj", "up_proj"],
            rank_pattern={"layers.1.self_attn.q_proj": 5, "v_proj": 6},
            alpha_pattern={"^model.layers.0.mlp.up_proj": 7, "v_proj": 1},
        ),
    ),
    "embedding": ("qwen2", dict(r=3, lora_alpha=4, target_modules=["embed_tokens", "lm_head", "q_proj"])),
    "bf16": ("qwen2", dict(r=3, lora_alpha=5, target_modules=ATTENTION)),
    "fan_in_fan_out": ("gpt2", dict(r=3, lora_alpha=5, target_modules=["c_attn", "c_fc"], fan_in_fan_out=True)),
}


def base(kind: str) -> torch.nn.Module:
    torch.manual_seed(1)
    if kind == "gpt2":
        config = GPT2Config(vocab_size=24, n_positions=16, n_embd=8, n_layer=1, n_head=2)
        return GPT2LMHeadModel(config)
    config = Qwen2Config(
        vocab_size=24,
        hidden_size=8,
        intermediate_size=12,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        tie_word_embeddings=False,
        initializer_range=0.05,
    )
    return Qwen2ForCausalLM(config)


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    tied = {"lm_head.weight"} if model.config.tie_word_embeddings else set()
    state = {name: tensor for name, tensor in model.state_dict().items() if name not in tied}
    return {name: tensor.detach().float().clone().contiguous() for name, tensor in state.items()}


def main() -> None:
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir()
    for kind in ("qwen2", "gpt2"):
        save_file(weights(base(kind)), OUTPUT / f"{kind}.safetensors")
    for name, (kind, settings) in CASES.items():
        before = weights(base(kind))
        config = LoraConfig(task_type="CAUSAL_LM", bias="none", **settings)
        model = get_peft_model(base(kind), config)
        generator = torch.Generator().manual_seed(2)
        with torch.no_grad():
            for parameter_name, parameter in model.named_parameters():
                if "lora_" in parameter_name:
                    drawn = torch.randn(parameter.shape, generator=generator) * 0.2
                    parameter.copy_(drawn.bfloat16() if name == "bf16" else drawn)
        if name == "bf16":
            # Factors are stored in BF16; merging reads them so, but computes in single precision.
            state = {
                key.replace(".default", ""): tensor.bfloat16().contiguous()
                for key, tensor in model.state_dict().items()
                if "lora_" in key
            }
            model.save_pretrained(OUTPUT / name)
            save_file(state, OUTPUT / name / "adapter_model.safetensors")
        else:
            model.save_pretrained(OUTPUT / name)
        (OUTPUT / name / "README.md").unlink(missing_ok=True)
        merged = weights(model.merge_and_unload())
        changed = {key: tensor for key, tensor in merged.items() if not torch.equal(tensor, before[key])}
        save_file(changed, OUTPUT / f"{name}-merged.safetensors")


if __name__ == "__main__":
    main()
