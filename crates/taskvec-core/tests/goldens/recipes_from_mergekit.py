"""Writes the golden files of `tests/it/algebra/recipes.rs`: what mergekit 0.1.5 makes of YAML files.

    python tests/goldens/recipes_from_mergekit.py     # in the crate's directory; needs mergekit==0.1.5, torch, transformers

Four checkpoints with the tensors of a Llama decoder of four layers are drawn at random into `recipes/`: `base` and three
fine-tunes. Each `recipes/*.yml` is run by mergekit as its command line runs it, without a tokenizer, and the weights are
written beside it. Everything is in single precision, so that what differs is the order of mergekit's roundings.
"""

import tempfile
from pathlib import Path

import torch
import yaml
from mergekit.config import MergeConfiguration
from mergekit.merge import MergeOptions, run_merge
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig

HIDDEN, INTERMEDIATE, VOCABULARY, LAYERS = 8, 12, 24, 4
RECIPES = Path("tests/goldens/recipes")


def shapes() -> dict[str, list[int]]:
    shapes = {
        "model.embed_tokens.weight": [VOCABULARY, HIDDEN],
        "model.norm.weight": [HIDDEN],
        "lm_head.weight": [VOCABULARY, HIDDEN],
    }
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}."
        for projection in "qkvo":
            shapes[f"{prefix}self_attn.{projection}_proj.weight"] = [HIDDEN, HIDDEN]
        for projection in ("gate", "up"):
            shapes[f"{prefix}mlp.{projection}_proj.weight"] = [INTERMEDIATE, HIDDEN]
        shapes[f"{prefix}mlp.down_proj.weight"] = [HIDDEN, INTERMEDIATE]
        shapes[f"{prefix}input_layernorm.weight"] = [HIDDEN]
        shapes[f"{prefix}post_attention_layernorm.weight"] = [HIDDEN]
    return shapes


def write_checkpoints() -> None:
    generator = torch.Generator().manual_seed(21)
    models = {name: {} for name in ("base", "a", "b", "c")}
    for name, shape in shapes().items():
        draw = lambda scale: torch.randn(shape, generator=generator) * scale
        start = draw(0.05) + (1.0 if name.endswith("norm.weight") else 0.0)
        shared = draw(0.01)
        models["base"][name] = start
        for model in "abc":
            models[model][name] = start + shared + draw(0.01)
    config = LlamaConfig(
        hidden_size=HIDDEN,
        intermediate_size=INTERMEDIATE,
        vocab_size=VOCABULARY,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        num_key_value_heads=2,
        architectures=["LlamaForCausalLM"],
        tie_word_embeddings=False,
    )
    for name, tensors in models.items():
        directory = RECIPES / name
        directory.mkdir(exist_ok=True)
        config.save_pretrained(directory)
        save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})


def main() -> None:
    write_checkpoints()
    for recipe in sorted(RECIPES.glob("*.yml")):
        config = MergeConfiguration.model_validate(yaml.safe_load(recipe.read_text()))
        with tempfile.TemporaryDirectory() as output:
            run_merge(config, output, MergeOptions(copy_tokenizer=False, write_model_card=False, quiet=True))
            tensors = {}
            for file in Path(output).glob("*.safetensors"):
                tensors |= load_file(file)
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, recipe.with_suffix(".safetensors"))
        print(recipe.name, len(tensors))


if __name__ == "__main__":
    main()
