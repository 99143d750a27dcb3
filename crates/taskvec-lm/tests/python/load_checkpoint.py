"""Loads checkpoints as anyone would and says what it sees: the counterpart of `tests/it/transformers.rs`.

    python load_checkpoint.py DIRECTORY... < request.json

The request holds `texts`, `messages` and `max_new_tokens`. The answer, on stdout, is a JSON list with one object for
each directory.
"""

import json
import sys

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer


def describe(directory, request):
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model, loading = AutoModelForCausalLM.from_pretrained(
        directory, dtype=torch.float32, output_loading_info=True
    )
    model.eval()
    ids = [tokenizer(text)["input_ids"] for text in request["texts"]]
    chat = None
    prompt_text = request["texts"][0]
    if tokenizer.chat_template is not None:
        chat = tokenizer.apply_chat_template(request["messages"], tokenize=False, add_generation_prompt=True)
        prompt_text = chat
    with torch.no_grad():
        logits = [model(torch.tensor([row])).logits[0].tolist() for row in ids]
        prompt = torch.tensor([tokenizer(prompt_text)["input_ids"]])
        generated = model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=request["max_new_tokens"],
            do_sample=False,
        )
    return {
        "model_class": type(model).__name__,
        "tokenizer_class": type(tokenizer).__name__,
        "problems": sorted(
            str(entry) for key in ("missing_keys", "unexpected_keys", "mismatched_keys") for entry in loading[key]
        ),
        "vocabulary": len(tokenizer),
        "eos": tokenizer.eos_token_id,
        "pad": tokenizer.pad_token_id,
        "ids": ids,
        "decoded": [tokenizer.decode(row) for row in ids],
        "chat": chat,
        "generated": tokenizer.decode(generated[0, prompt.shape[1] :], skip_special_tokens=True),
        "logits": logits,
    }


def main():
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    request = json.load(sys.stdin)
    json.dump([describe(directory, request) for directory in sys.argv[1:]], sys.stdout)


if __name__ == "__main__":
    main()
