"""Writes the golden files of `tests/it/algebra/inspect.rs`: three small models, and what numpy says of their differences.

    python inspect_from_numpy.py     # needs numpy, torch, safetensors; writes to inspect/ beside this file

`a` and `b` are fine-tunes of `base` in bfloat16: a change of rank three with noise for the matrices, and many elements that
do not change. numpy computes in double precision on the stored values; torch only stores them.
"""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

OUTPUT = Path(__file__).parent / "inspect"

SHAPES = {
    "model.embed_tokens.weight": (40, 24),
    "model.layers.0.self_attn.q_proj.weight": (24, 24),
    "model.layers.0.mlp.up_proj.weight": (150, 140),
    "model.layers.1.self_attn.q_proj.weight": (24, 24),
    "model.layers.1.input_layernorm.weight": (24,),
}
# Singular values that the spectra list.
COUNT = 4


def stored(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values).to(torch.bfloat16)


def read(tensor: torch.Tensor) -> np.ndarray:
    return tensor.to(torch.float64).numpy()


def change(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    noise = 0.002 * random.standard_normal(shape)
    if len(shape) == 2:
        left, right = (random.standard_normal((side, 3)) for side in shape)
        noise += left @ np.diag([0.01, 0.005, 0.002]) @ right.T
    return np.where(random.random(shape) < 0.3, 0, noise)


def measured(a: list[np.ndarray], b: list[np.ndarray], base: list[np.ndarray]) -> dict:
    one, two, origin = (np.concatenate([part.ravel() for part in parts]) for parts in (a, b, base))
    both = (one != 0) & (two != 0)
    return {
        "norm": np.linalg.norm(one),
        "relative_norm": np.linalg.norm(one) / np.linalg.norm(origin),
        "zeros": int((one == 0).sum()),
        "second_norm": np.linalg.norm(two),
        "cosine": one @ two / (np.linalg.norm(one) * np.linalg.norm(two)),
        "nonzero_in_both": int(both.sum()),
        "sign_agreement": (np.sign(one) == np.sign(two))[both].mean(),
    }


def main() -> None:
    random = np.random.default_rng(7)
    models: dict[str, dict[str, torch.Tensor]] = {"base": {}, "a": {}, "b": {}}
    for name, shape in SHAPES.items():
        base = 0.05 * random.standard_normal(shape)
        shared = change(random, shape)
        models["base"][name] = stored(base)
        models["a"][name] = stored(read(stored(base)) + shared + change(random, shape))
        models["b"][name] = stored(read(stored(base)) + shared - change(random, shape))
    OUTPUT.mkdir(exist_ok=True)
    for name, tensors in models.items():
        save_file(tensors, OUTPUT / f"{name}.safetensors")

    weights = {name: {key: read(value) for key, value in tensors.items()} for name, tensors in models.items()}
    # Differences of bfloat16 numbers of similar size are exact in single precision, in which they are measured.
    vectors = {name: {key: weights[name][key] - weights["base"][key] for key in SHAPES} for name in "ab"}
    parts = {key: [[vectors["a"][key]], [vectors["b"][key]], [weights["base"][key]]] for key in SHAPES}
    expected = {
        "tensors": {key: measured(*each) for key, each in parts.items()},
        "total": measured(*([side[0] for side in sides] for sides in zip(*parts.values()))),
        "spectra": {
            key: {
                "singular_values": list(values[:COUNT]),
                "stable_rank": (values**2).sum() / values[0] ** 2,
                "kept": (values[:COUNT] ** 2).sum() / (values**2).sum(),
            }
            for key, shape in SHAPES.items()
            if len(shape) == 2
            for values in [np.linalg.svd(vectors["a"][key], compute_uv=False)]
        },
    }
    (OUTPUT / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
