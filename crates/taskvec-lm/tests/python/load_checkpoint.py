"""Loads a checkpoint as anyone would and says what it sees: the counterpart of `tests/it/transformers.rs`.

    python load_checkpoint.py DIRECTORY < request.json

The request holds `texts`, `messages` and `max_new_tokens`. The answer, on stdout, is one JSON object.
"""

import json
import sys

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

transformers.logging.set_verbosity_error()
torch.set_num_threads(1)
directory = sys.argv[1]
request = json.load(sys.stdin)

tokenizer = AutoTokenizer.from_pretrained(directory)
model, loading = AutoModelForCausalLM.from_pretrained(
    directory, dtype=torch.float32, output_loading_info=True
)
model.eval()
ids = [tokenizer(text)["input_ids"] for text in request["texts"]]
chat = tokenizer.apply_chat_template(request["messages"], tokenize=False, add_generation_prompt=True)
with torch.no_grad():
    logits = [model(torch.tensor([row])).logits[0].tolist() for row in ids]
    prompt = torch.tensor([tokenizer(chat)["input_ids"]])
    generated = model.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=request["max_new_tokens"],
        do_sample=False,
    )
answer = {
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
json.dump(answer, sys.stdout)
