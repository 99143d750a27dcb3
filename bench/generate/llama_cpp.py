"""Times llama.cpp on what compare.py times: the shape of Qwen2.5-0.5B, random weights, float32, greedy, batch 1 and 16.

    "$(scripts/llama-env.sh)" bench/generate/llama_cpp.py CHECKPOINT TOKENIZER [--rounds 3] [--batch 1]

CHECKPOINT is a directory such as compare.py makes with `--keep`; its weights are written as a GGUF file of float32 beside
it. TOKENIZER is a directory with Qwen2.5's vocab.json and merges.txt, gzipped or not: no text is read, but llama.cpp loads no
model without one. Prompts are given as ids, each to a slot of its own; "prefill" is the time of a request for one token.
"""

import argparse
import gzip
import json
import os
import random
import statistics
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gguf
import numpy as np
import xllamacpp

PROMPT, NEW = 256, 128
NAMES = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}


def gguf_name(name: str) -> str:
    if name == "model.embed_tokens.weight":
        return "token_embd.weight"
    if name == "model.norm.weight":
        return "output_norm.weight"
    _, _, layer, rest = name.split(".", 3)
    part, kind = rest.rsplit(".", 1)
    return f"blk.{layer}.{NAMES[part]}.{kind}"


def text(directory: Path, name: str) -> str:
    packed = directory / f"{name}.gz"
    return gzip.decompress(packed.read_bytes()).decode() if packed.exists() else (directory / name).read_text()


def convert(checkpoint: Path, tokenizer: Path, target: Path) -> None:
    config = json.loads((checkpoint / "config.json").read_text())
    rope = config.get("rope_parameters") or config
    writer = gguf.GGUFWriter(target, "qwen2")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(rope["rope_theta"])
    vocabulary = json.loads(text(tokenizer, "vocab.json"))
    tokens = sorted(vocabulary, key=vocabulary.get)
    kinds = [gguf.TokenType.NORMAL] * len(tokens)
    added = config["vocab_size"] - len(tokens)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens + [f"[PAD{index}]" for index in range(added)])
    writer.add_token_types(kinds + [gguf.TokenType.UNUSED] * added)
    merges = text(tokenizer, "merges.txt").splitlines()
    writer.add_token_merges([line for line in merges if line and not line.startswith("#version")])
    writer.add_eos_token_id(len(tokens))
    with open(checkpoint / "model.safetensors", "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        for name, tensor in header.items():
            if name == "__metadata__":
                continue
            assert tensor["dtype"] == "BF16", tensor
            begin, end = tensor["data_offsets"]
            file.seek(8 + length + begin)
            halves = np.frombuffer(file.read(end - begin), np.uint16).astype(np.uint32)
            writer.add_tensor(gguf_name(name), (halves << 16).view(np.float32).reshape(tensor["shape"]))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, action="append", help="batch size; may be given several times [1, 16]")
    arguments = parser.parse_args()
    model = arguments.checkpoint / "model-f32.gguf"
    if not model.exists():
        convert(arguments.checkpoint, arguments.tokenizer, model)
    random.seed(0)
    vocabulary = json.loads((arguments.checkpoint / "config.json").read_text())["vocab_size"]
    for batch in arguments.batch or [1, 16]:
        params = xllamacpp.CommonParams()
        params.model.path = str(model)
        params.n_parallel = batch
        params.n_ctx = batch * (PROMPT + NEW)
        params.n_batch = params.n_ubatch = 512
        params.cpuparams.n_threads = os.cpu_count()
        params.cpuparams_batch.n_threads = os.cpu_count()
        params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        params.warmup = True
        server = xllamacpp.Server(params)

        def ask(prompt: list[int], new: int) -> int:
            request = {"prompt": prompt, "n_predict": new, "temperature": 0, "ignore_eos": True, "cache_prompt": False}
            answer = server.handle_completions(request)
            return answer["tokens_predicted"] if "tokens_predicted" in answer else answer["usage"]["completion_tokens"]

        prefill, decode = [], []
        with ThreadPoolExecutor(batch) as pool:
            for turn in range(arguments.rounds + 1):
                # The first round warms caches and allocators up.
                most = NEW if turn > 0 else 8
                prompts = [[random.randrange(vocabulary - 300) for _ in range(PROMPT)] for _ in range(batch)]
                times = []
                for new in (1, most):
                    began = time.perf_counter()
                    made = list(pool.map(lambda prompt: ask(prompt, new), prompts))
                    times.append(time.perf_counter() - began)
                    assert made == [new] * batch, made
                if turn > 0:
                    prefill.append(times[0])
                    decode.append(batch * (NEW - 1) / (times[1] - times[0]))
        first, rate = statistics.median(prefill), statistics.median(decode)
        print(f"batch {batch}: llama.cpp prefill {first:.3g} s, decode {rate:.3g} tokens/s", flush=True)
        del server


if __name__ == "__main__":
    main()
