"""Prompts and scores of lm-evaluation-harness, and whether taskvec's are the same.

    $(scripts/harness-env.sh) scripts/harness-parity.py --data DIR --goldens OUT
        writes the golden files that the tests of taskvec-eval read: hashes of the prompts of the first 50 documents of
        each task, with and without chat template, and completions with their scores.
    $(scripts/harness-env.sh) scripts/harness-parity.py --data DIR --taskvec target/debug/taskvec
        scores 2,000 completions for each task and subtask with both, and compares every one.

DIR holds gsm8k/, humaneval/, bbh/ and (or not) sciq/ as their publishers offer them, the first three gzipped JSON
lines or JSON, and qwen2.5/ with the tokenizer's configuration. The harness would take the data from the Hub; here its
loading is replaced by these files, and nothing else of it but HumanEval's runner, which is fetched from the Hub too:
each program runs in a child process without a sandbox, since all come from this script, for three seconds of processor
time: three of the clock, as in the original, would fail right programs on a busy machine.
"""

import argparse
import gzip
import hashlib
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false", HF_ALLOW_CODE_EVAL="1",
                  TRANSFORMERS_VERBOSITY="error", LMEVAL_LOG_LEVEL="ERROR")
warnings.filterwarnings("ignore")
sys.path.insert(0, str(Path(__file__).parent))

import datasets  # noqa: E402
import evaluate  # noqa: E402
from harness_completions import completion  # noqa: E402
from lm_eval.api.instance import Instance  # noqa: E402
from lm_eval.models.utils import postprocess_generated_text  # noqa: E402
from lm_eval.tasks import TaskManager  # noqa: E402

BBH = ["bbh_cot_fewshot", "bbh_cot_zeroshot", "bbh_zeroshot"]
GENERATIVE = ["gsm8k", "gsm8k_cot", "gsm8k_cot_zeroshot", "humaneval", "humaneval_instruct"]
PROMPTS = 50
# SciQ's own records are under a non-commercial licence; these stand in for them where only the form matters.
SCIQ_LIKE = [
    {"support": support, "question": f"What is thing {n}?", "distractor1": f"a{n}", "distractor2": f"b {n}",
     "distractor3": f"it's {n}", "correct_answer": f"\"d\" {n}"}
    for n, support in enumerate(["", "  Leading space.", "\n Lines\nof text. ", "\u00a0Odd space.", "Plain.", "\x1c Separator."])
]


def read(path):
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        return file.read()


def records(path):
    return [json.loads(line) for line in read(path).split("\n") if line.strip()]


def load_local(data, sciq):
    """What takes the place of `datasets.load_dataset`."""

    def load(path, name=None, **_):
        if path == "openai/gsm8k":
            splits = {split: records(data / "gsm8k" / f"{split}.jsonl.gz") for split in ("train", "test")}
        elif path == "openai/openai_humaneval":
            splits = {"test": records(data / "humaneval" / "HumanEval.jsonl.gz")}
        elif path == "SaylorTwift/bbh":
            splits = {"test": json.loads(read(data / "bbh" / "tasks" / f"{name}.json"))["examples"]}
        elif path == "allenai/sciq":
            splits = {split: sciq for split in ("train", "validation", "test")}
        else:
            raise ValueError(f"no local copy of {path}")
        return datasets.DatasetDict({split: datasets.Dataset.from_list(rows) for split, rows in splits.items()})

    return load


def run_program(program, results):
    resource.setrlimit(resource.RLIMIT_CPU, (3, 3))
    sys.stdout = sys.stderr = open(os.devnull, "w")
    try:
        exec(program, {"__name__": "__main__"})  # noqa: S102
        results.put(True)
    except BaseException:
        results.put(False)


def passes(program):
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=run_program, args=(program, results))
    child.start()
    deadline = time.time() + 120
    verdict = False
    while time.time() < deadline:
        try:
            verdict = results.get(timeout=0.05)
            break
        except Exception:
            if not child.is_alive():
                break
    child.kill()
    child.join()
    return verdict


class CodeEval:
    """Stands for the Hub's `code_eval`: the same program, one verdict."""

    last = ""
    known = {}

    def compute(self, references, predictions, k):
        self.last = CodeEval.last = predictions[0][0] + "\n" + references[0]
        if self.last not in self.known:
            self.known[self.last] = passes(self.last)
        return ({f"pass@{k[0]}": float(self.known[self.last])}, None)


def sha(text):
    """The first 64 bits: files stay small, and accidents improbable."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def contexts(task, documents, chat_template, limit):
    task.set_fewshot_seed(1234)
    for doc in documents[:limit]:
        yield doc, task.fewshot_context(
            doc,
            num_fewshot=task.config.num_fewshot or 0,
            apply_chat_template=chat_template is not None,
            fewshot_as_multiturn=chat_template is not None,
            chat_template=chat_template,
            gen_prefix=task.doc_to_prefix(doc),
        )


def qwen_template(data):
    """Qwen2.5's chat template as transformers renders it, with as much of a tokenizer as that takes."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    settings = json.loads((data / "qwen2.5" / "tokenizer_config.instruct.json").read_text())
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()))
    tokenizer.chat_template = settings["chat_template"]

    def render(messages, add_generation_prompt=True):
        return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=add_generation_prompt,
                                             continue_final_message=not add_generation_prompt)

    return render


def prompts(task, name, limit, data, show):
    documents = list(task.test_docs())
    render = qwen_template(data)

    def as_json(messages, add_generation_prompt=True):
        return json.dumps(messages, ensure_ascii=False)

    plain = [text for _, text in contexts(task, documents, None, limit)]
    turns = [json.loads(text) for _, text in contexts(task, documents, as_json, limit)]
    rendered = [text for _, text in contexts(task, documents, render, limit)]
    for index, (doc, text, messages, chat) in enumerate(zip(documents, plain, turns, rendered)):
        row = {"task": name, "doc": index, "text_sha": sha(text), "chat_sha": sha(chat)}
        flat = "".join(f"{m['role']}\n{m['content']}\n\0" for m in messages)
        row["messages_sha"] = sha(flat)
        if show and index == 0:
            row.update(text=text, chat=chat)
        if task.OUTPUT_TYPE == "multiple_choice":
            row["continuations"] = [i.args[1] for i in task.construct_requests(doc=doc, ctx=text)]
            row["chat_continuations"] = [i.args[1] for i in task.construct_requests(doc=doc, ctx=chat, apply_chat_template=True)]
            if not show:
                row["continuations"] = [sha(c) for c in row["continuations"]]
                row["chat_continuations"] = [sha(c) for c in row["chat_continuations"]]
        yield row


def score(task, name, doc, text):
    """The metric under each filter, or None where the harness dies of the completion."""
    cut = postprocess_generated_text(text, task.config.generation_kwargs["until"], None)
    scores = {}
    for ensemble in task._filters:
        instance = Instance(request_type="generate_until", doc=doc, arguments=("", {}), idx=0, metadata=(name, 0, 1))
        instance.resps = [cut]
        try:
            ensemble.apply([instance])
            result = task.process_results(doc, [instance.filtered_resps[ensemble.name]])
        except Exception:
            scores[ensemble.name] = None
            continue
        scores[ensemble.name] = int(next(iter(result.values())))
    return scores


def scored(task, name, number_of, prefix=""):
    documents = list(task.test_docs())
    targets = sorted({doc.get("target", "") for doc in documents})
    for number in range(number_of):
        # A stride that is coprime to the sizes of all sets goes through every document.
        index = number * 97 % len(documents)
        doc = documents[index]
        text = completion(name, number, doc, targets)
        row = {"task": name, "doc": index, "completion": text, "scores": score(task, name, doc, text)}
        if name.startswith("humaneval"):
            row["program_sha"] = sha(CodeEval.last)
        yield row


def leaves(names):
    loaded = TaskManager().load(names)
    return {name: task for name, task in loaded["tasks"].items()}


def write(path, rows):
    # Fixed times and names in the header make the same file of the same rows.
    with open(path, "wb") as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=9) as file:
        for row in rows:
            file.write((json.dumps(row, ensure_ascii=True) + "\n").encode())


def goldens(arguments, tasks):
    out = Path(arguments.goldens)
    out.mkdir(parents=True, exist_ok=True)
    rows, samples = [], []
    for name, task in tasks.items():
        if arguments.part != "scores":
            rows += prompts(task, name, PROMPTS, arguments.data, show=not name.startswith("bbh") or name.endswith("snarks"))
        if arguments.part != "prompts":
            samples += scored(task, name, 24 if name.startswith("bbh") else 300)
    if samples:
        write(out / "scores.jsonl.gz", samples)
    if not rows:
        return
    write(out / "prompts.jsonl.gz", rows)
    datasets.load_dataset = load_local(arguments.data, SCIQ_LIKE)
    like = [dict(row, document=doc) for row, doc in zip(prompts(leaves(["sciq"])["sciq"], "sciq", 6, arguments.data, True), SCIQ_LIKE)]
    if (arguments.data / "sciq").exists():
        sciq = json.loads(read(arguments.data / "sciq" / "test.json.gz"))
        datasets.load_dataset = load_local(arguments.data, sciq)
        like += prompts(leaves(["sciq"])["sciq"], "sciq", PROMPTS, arguments.data, show=False)
    write(out / "sciq.jsonl.gz", like)


def compare(arguments, tasks):
    """Every completion scored by both; exits 1 where one differs."""
    different = total = dead = 0
    for name, task in tasks.items():
        if name.startswith("humaneval") and not arguments.code:
            continue
        rows = list(scored(task, name, arguments.completions))
        with tempfile.TemporaryDirectory() as folder:
            asked, answered = Path(folder, "completions.jsonl"), Path(folder, "samples.jsonl")
            counts = {}
            with open(asked, "w", encoding="utf-8") as file:
                for row in rows:
                    row["sample"] = counts.get(row["doc"], 0)
                    counts[row["doc"]] = row["sample"] + 1
                    line = {"doc_id": row["doc"], "completion": row["completion"], "sample": row["sample"]}
                    file.write(json.dumps(line) + "\n")
            command = [arguments.taskvec, "score", name, str(asked), "--samples", str(answered), "--partial"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            ours = records(answered)
        wrong = 0
        for row, mine in zip(rows, ours, strict=True):
            for filter_name, theirs in row["scores"].items():
                total += 1
                strict = filter_name in ("strict-match", "get-answer", "create_test")
                got = mine["correct" if strict else "flexible_correct"]
                if theirs is None:
                    dead += 1
                elif bool(theirs) != got:
                    wrong += 1
                    if wrong <= 3:
                        print(f"{name} document {row['doc']} {filter_name}: harness {theirs}, taskvec {got}: {row['completion']!r}")
        different += wrong
        print(f"{name}: {len(rows)} completions, {wrong} scores differ", flush=True)
    print(f"{total} scores compared, {different} differ, {dead} completions on which the harness raises")
    sys.exit(1 if different else 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--goldens", help="folder to write golden files into")
    parser.add_argument("--part", choices=["prompts", "scores"], help="write only these golden files")
    parser.add_argument("--taskvec", help="binary to compare with")
    parser.add_argument("--completions", type=int, default=2000)
    parser.add_argument("--code", action="store_true", help="compare HumanEval too: runs every program twice")
    parser.add_argument("--tasks", help="comma-separated names; all of them by default")
    arguments = parser.parse_args()
    if not (arguments.goldens or arguments.taskvec):
        parser.error("nothing to do: give --goldens or --taskvec")
    evaluate.load = lambda *_, **__: CodeEval()
    datasets.load_dataset = load_local(arguments.data, SCIQ_LIKE)
    tasks = leaves(arguments.tasks.split(",") if arguments.tasks else GENERATIVE + BBH)
    if arguments.goldens:
        goldens(arguments, tasks)
    if arguments.taskvec:
        compare(arguments, tasks)


if __name__ == "__main__":
    main()
