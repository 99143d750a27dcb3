"""Writes the golden files of `tests/it/algebra/mergekit.rs`: what mergekit 0.1.5 makes of small checkpoints.

    python from_mergekit.py     # needs mergekit==0.1.5, torch, safetensors; writes to mergekit/ beside this file

Four checkpoints with the tensor names and shapes of a Qwen2 decoder of two layers are drawn at random: `base` and three
fine-tunes that share a part of their change and leave some elements as they are. Each method runs through mergekit's
Python interface, `merge_state_dicts`, with `dtype` and `out_dtype` float32; so its reading of YAML and its handling of
configs and tokenizers are not compared. DARE is summed up in `random.json`, for its generator differs from ours. DELLA is
given our random words in place of torch's, so that it keeps an element where our method must: `della*.safetensors`; the
probabilities that it draws with are in `f32-probabilities.safetensors`. Arcee Fusion runs in double precision, for in
single precision its divergences are mostly rounding.

BF16 checkpoints are merged by those methods only that do not rank magnitudes: equal ones are common in BF16, and which of
them mergekit keeps depends on an unstable sort.
"""

import hashlib
import json
from pathlib import Path

import torch
from mergekit.merge_methods.api import merge_state_dicts
from mergekit.sparsify import RescaleNorm, bernoulli, della_magprune
from safetensors.torch import save_file

HIDDEN, INTERMEDIATE, VOCABULARY, LAYERS = 8, 12, 24, 2
OUTPUT = Path(__file__).parent / "mergekit"


def shapes() -> dict[str, list[int]]:
    shapes = {"model.embed_tokens.weight": [VOCABULARY, HIDDEN], "model.norm.weight": [HIDDEN]}
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}."
        for projection in "qkvo":
            shapes[f"{prefix}self_attn.{projection}_proj.weight"] = [HIDDEN, HIDDEN]
        for projection in ("gate", "up"):
            shapes[f"{prefix}mlp.{projection}_proj.weight"] = [INTERMEDIATE, HIDDEN]
        shapes[f"{prefix}mlp.down_proj.weight"] = [HIDDEN, INTERMEDIATE]
        shapes[f"{prefix}input_layernorm.weight"] = [HIDDEN]
    return shapes


def checkpoints(dtype: torch.dtype) -> dict[str, dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(20)
    models = {name: {} for name in ("base", "a", "b", "c")}
    for name, shape in shapes().items():
        draw = lambda scale: torch.randn(shape, generator=generator) * scale
        start = draw(0.05) + (1.0 if name.endswith("norm.weight") else 0.0)
        shared = draw(0.01)
        models["base"][name] = start.to(dtype)
        for model, unchanged in (("a", 0.0), ("b", 0.3), ("c", 0.3)):
            change = (shared + draw(0.01)) * (torch.rand(shape, generator=generator) >= unchanged)
            models[model][name] = (start.to(dtype).float() + change).to(dtype)
            keep = change == 0
            models[model][name][keep] = models["base"][name][keep]
    return models


# Name of the golden file: method, models in order, base, parameters.
EITHER = {
    "linear": ("linear", "abc", None, {"weight": [1.0, 1.0, -1.0], "normalize": False}),
    "mean": ("linear", "abc", None, {"weight": 1.0}),
    "task_arithmetic": ("task_arithmetic", "ab", "base", {"weight": 1.0}),
    "slerp": ("slerp", "b", "a", {"t": 0.3}),
    "nuslerp": ("nuslerp", "ab", None, {"weight": [0.3, 0.7]}),
    "model_stock": ("model_stock", "abc", "base", {}),
}
SINGLE_ONLY = {
    "ties": ("ties", "abc", "base", {"weight": 1.0, "density": 0.4}),
    "ties_sum": ("ties", "abc", "base", {"weight": [0.5, 1.0, 0.25], "density": 0.4, "normalize": False}),
    "breadcrumbs": ("breadcrumbs", "ab", "base", {"weight": 1.0, "density": 0.5, "gamma": 0.1}),
    "breadcrumbs_ties": ("breadcrumbs_ties", "abc", "base", {"weight": 1.0, "density": 0.5, "gamma": 0.1}),
    "sce": ("sce", "abc", "base", {"select_topk": 0.6}),
    "ram": ("ram", "abc", "base", {}),
    "ramplus_tl": ("ramplus_tl", "abc", "base", {}),
    "nuslerp_vectors": ("nuslerp", "ab", "base", {"weight": [0.5, 0.5]}),
    "multislerp": ("multislerp", "abc", None, {"weight": 1.0}),
    "multislerp_vectors": ("multislerp", "abc", "base", {"weight": 1.0}),
    "karcher": ("karcher", "abc", None, {}),
    "nearswap": ("nearswap", "b", "a", {"t": 0.005}),
    "model_stock_rows": ("model_stock", "abc", "base", {"filter_wise": True}),
    "nuslerp_rows": ("nuslerp", "ab", None, {"weight": [0.3, 0.7], "nuslerp_flatten": False}),
    "nuslerp_columns": (
        "nuslerp",
        "ab",
        "base",
        {"weight": [0.3, 0.7], "nuslerp_flatten": False, "nuslerp_row_wise": True},
    ),
}
DELLA = {
    "della": ("della", "abc", "base", {"weight": [0.5, 1.0, 0.25], "density": 0.6, "epsilon": 0.3}),
    "della_sum": (
        "della",
        "abc",
        "base",
        {"weight": 1.0, "density": 0.5, "epsilon": 0.15, "normalize": False, "rescale": False, "lambda": 1.5},
    ),
    "della_linear": ("della_linear", "ab", "base", {"weight": [0.7, 0.4], "density": 0.4, "epsilon": 0.2}),
}


def words(stream: bytes, count: int) -> torch.Tensor:
    """The words of `method/philox.rs`: Philox4x32-10 under a key from the SHA-256 of what the stream is called."""
    digest = hashlib.sha256(stream).digest()
    found = []
    for number in range((count + 3) // 4):
        key = [int.from_bytes(digest[at : at + 4], "little") for at in (0, 4)]
        counter = [number, 0, 0, 0]
        for _ in range(10):
            left, right = counter[0] * 0xD2511F53, counter[2] * 0xCD9E8D57
            counter = [
                (right >> 32) ^ counter[1] ^ key[0],
                right & 0xFFFFFFFF,
                (left >> 32) ^ counter[3] ^ key[1],
                left & 0xFFFFFFFF,
            ]
            key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
        found += counter
    return torch.tensor(found[:count], dtype=torch.int64)


class Drawn:
    """Takes the place of `torch.bernoulli`: draws for the operands of one tensor after one another, with our words."""

    def __init__(self, tensor: str, seeds: list[tuple[int, int]]):
        self.streams = [
            b"della" + seed.to_bytes(8, "little") + operand.to_bytes(8, "little") + tensor.encode()
            for seed, operand in seeds
        ]
        self.probabilities = []

    def __call__(self, probabilities: torch.Tensor) -> torch.Tensor:
        drawn = words(self.streams[len(self.probabilities)], probabilities.numel())
        self.probabilities.append(probabilities)
        limits = (probabilities.double() * 2**32).floor().long()
        return (drawn.reshape(probabilities.shape) < limits).to(probabilities.dtype)


def merge_della(models, method, names, base, parameters):
    """Each tensor by itself, for the draws are not told which it is. `della_linear` is a sum of calls with seeds 1 and 2."""
    merged, bernoulli = {}, torch.bernoulli
    for tensor in models[base]:
        single = {name: {tensor: tensors[tensor]} for name, tensors in models.items()}
        seeds = [(index + 1, 0) if method == "della_linear" else (1, index) for index in range(len(names))]
        torch.bernoulli = Drawn(tensor, seeds)
        merged |= merge(single, method, names, base, parameters)
        torch.bernoulli = bernoulli
    return merged


def della_probabilities(models) -> dict[str, torch.Tensor]:
    """What `della_magprune` draws with for the change of `a`, of density 0.6 and epsilon 0.3."""
    found, bernoulli = {}, torch.bernoulli
    for tensor, base in models["base"].items():
        torch.bernoulli = drawn = Drawn(tensor, [(1, 0)])
        della_magprune(models["a"][tensor] - base, 0.6, 0.3)
        torch.bernoulli = bernoulli
        found[tensor] = drawn.probabilities[0].reshape(base.shape).contiguous()
    return found


def merge(models, method, names, base, parameters, dtype=torch.float32):
    chosen = {name: models[name] for name in ([base] if base else []) + list(names)}
    if isinstance(parameters.get("weight"), list):
        parameters = {**parameters, "weight": dict(zip(names, parameters["weight"]))}
    with torch.no_grad():
        return merge_state_dicts(
            chosen, method, parameters=parameters, base=base, dtype=dtype, out_dtype=torch.float32
        )


def main() -> None:
    OUTPUT.mkdir(exist_ok=True)
    for label, dtype in (("f32", torch.float32), ("bf16", torch.bfloat16)):
        models = checkpoints(dtype)
        for name, tensors in models.items():
            save_file(tensors, OUTPUT / f"{label}-{name}.safetensors")
        for golden, run in (EITHER if label == "bf16" else EITHER | SINGLE_ONLY).items():
            merged = {name: tensor.contiguous() for name, tensor in merge(models, *run).items()}
            save_file(merged, OUTPUT / f"{label}-{golden}.safetensors")
        if label == "f32":
            for golden, run in DELLA.items():
                save_file(merge_della(models, *run), OUTPUT / f"f32-{golden}.safetensors")
            save_file(della_probabilities(models), OUTPUT / "f32-probabilities.safetensors")
            fused = merge(models, "arcee_fusion", "a", "base", {}, dtype=torch.float64)
            save_file(fused, OUTPUT / "f32-arcee_fusion.safetensors")
    torch.manual_seed(0)
    values = torch.randn(100_000)
    drawn = {}
    for density in (0.1, 0.5, 0.9):
        sparse = bernoulli(values, density, RescaleNorm.l1)
        kept = sparse != 0
        drawn[str(density)] = {
            "share": kept.float().mean().item(),
            "scale": (sparse[kept] / values[kept]).median().item(),
        }
    (OUTPUT / "random.json").write_text(json.dumps(drawn, indent=2) + "\n")


if __name__ == "__main__":
    main()
