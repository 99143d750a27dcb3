"""Loads an adapter with peft onto the golden Qwen2 base and writes what it merges to.

    python load_adapter.py BASE.safetensors ADAPTER MERGED.safetensors [tied]

Fails when peft finds a factor missing or one too many. Prints the modules that peft gave factors to, as JSON.
"""

import json
import sys
import warnings

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import Qwen2Config, Qwen2ForCausalLM

base_file, adapter, merged_file = sys.argv[1:4]
config = Qwen2Config(
    vocab_size=24,
    hidden_size=8,
    intermediate_size=12,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    tie_word_embeddings=False,
)
base = Qwen2ForCausalLM(config).float()
base.load_state_dict(load_file(base_file))
# peft warns of missing factors and goes on without them.
warnings.filterwarnings("error", message=".*missing adapter keys.*")
warnings.filterwarnings("error", message=".*unexpected.*")
model = PeftModel.from_pretrained(base, adapter)
modules = sorted(
    name.removeprefix("base_model.model.")
    for name, module in model.named_modules()
    if hasattr(module, "lora_A") and (len(module.lora_A) or len(module.lora_embedding_A))
)
with torch.no_grad():
    merged = model.merge_and_unload()
save_file({name: tensor.contiguous().clone() for name, tensor in merged.state_dict().items()}, merged_file)
print(json.dumps(modules))
