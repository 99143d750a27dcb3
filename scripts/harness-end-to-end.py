"""The same checkpoint, asked the same questions by lm-evaluation-harness through transformers, and by taskvec.

    $(scripts/harness-env.sh) scripts/harness-end-to-end.py target/debug/taskvec [--limit 40]

taskvec writes an embedded checkpoint, asks it the micro tasks and keeps its records. From the questions in them this script
writes tasks of the harness (YAML and JSON lines), and has the harness ask the same directory through transformers in single
precision. Every completion, choice and score must agree, and log-likelihoods to one part in a thousand. The file in which the
harness keeps its samples is then given to `taskvec score`, whose scores must be the harness' own. Prints one JSON object; exits
with 1 where a sample differs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false", TRANSFORMERS_VERBOSITY="error",
                  LMEVAL_LOG_LEVEL="ERROR")
warnings.filterwarnings("ignore")

import lm_eval  # noqa: E402
import yaml  # noqa: E402
from lm_eval.loggers import EvaluationTracker  # noqa: E402
from lm_eval.tasks import TaskManager  # noqa: E402

MODEL = "target"
GENERATIVE = ["micro-gsm", "micro-bbh", "micro-chat"]
CHOICE = "micro-sciq"


def ask_taskvec(taskvec, directory, limit):
    """The records of every micro task, by task."""
    subprocess.run([taskvec, "write", f"micro:{MODEL}", "-o", directory / MODEL], check=True, capture_output=True)
    subprocess.run([taskvec, "eval", f'"{directory / MODEL}"', "--tasks", ",".join([*GENERATIVE, CHOICE]), "--limit", str(limit),
                    "--out", directory / "records"], check=True, capture_output=True)
    records = {}
    for line in (directory / "records" / "records.jsonl").read_text().splitlines():
        record = json.loads(line)
        records.setdefault(record["task"], []).append(record)
    return records


def write_task(directory, name, records):
    """A task of the harness with the questions of `records`."""
    documents = directory / f"{name}.jsonl"
    task = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(documents)}},
        "test_split": "test",
        "doc_to_text": "{{text}}",
    }
    if name == CHOICE:
        rows = [{"text": record["prompt"]["text"], "choices": record["request"]["likelihood"]["continuations"],
                 "label": record["request"]["likelihood"]["continuations"].index(" " + record["reference"])} for record in records]
        task |= {
            "output_type": "multiple_choice",
            "doc_to_choice": "choices",
            "doc_to_target": "label",
            # The choices bring their own space.
            "target_delimiter": "",
            "metric_list": [{"metric": "acc"}],
        }
    else:
        rows = [{"text": record["prompt"]["chat"][0]["content"], "answer": record["reference"]} for record in records]
        generate = records[0]["request"]["generate"]
        task |= {
            "output_type": "generate_until",
            "doc_to_target": "{{answer}}",
            "generation_kwargs": {"until": generate["stop"], "max_gen_toks": generate["max_new_tokens"], "do_sample": False},
            "metric_list": [{"metric": "exact_match"}],
        }
        if name != "micro-chat":
            task["filter_list"] = [{"name": "strict", "filter": [
                {"function": "regex", "regex_pattern": r"The answer is (.+?)\.(?:\s|$)", "group_select": -1},
                {"function": "take_first"},
            ]}]
    documents.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (directory / f"{name}.yaml").write_text(yaml.safe_dump(task))


def ask_harness(directory, names, chat):
    results = lm_eval.simple_evaluate(
        model="hf",
        model_args={"pretrained": str(directory / MODEL), "dtype": "float32", "device": "cpu"},
        tasks=names,
        task_manager=TaskManager(include_path=str(directory), include_defaults=False),
        apply_chat_template=chat,
        batch_size=1,
        bootstrap_iters=0,
        log_samples=True,
    )
    return results["samples"]


def differences(ours, theirs):
    """What is not the same in one sample of both, in words."""
    found = []
    if ours["log_probabilities"]:
        likelihoods = [response[0][0] if isinstance(response[0], (list, tuple)) else response[0] for response in theirs["resps"]]
        for mine, other in zip(ours["log_probabilities"], likelihoods, strict=True):
            if abs(mine - other) > 1e-3 * abs(other):
                found.append(f"log-likelihood {mine} and {other}")
        score = theirs["acc"]
    else:
        text = theirs["resps"][0][0]
        if text.strip() != ours["completion"].strip():
            found.append(f"completion {ours['completion']!r} and {text!r}")
        score = theirs["exact_match"]
    if bool(score) != ours["correct"]:
        found.append(f"score {ours['correct']} and {score}")
    return found


def score_kept(taskvec, directory, name, samples):
    """What `taskvec score` says of the file in which the harness keeps `samples`, where it is not the harness' own score."""
    tracker = EvaluationTracker(output_path=str(directory / "kept"))
    tracker.date_id = "now"
    tracker.save_results_samples(task_name=name, samples=samples)
    (kept,) = (directory / "kept").rglob(f"samples_{name}_*.jsonl")
    scores = directory / "scores.jsonl"
    subprocess.run([taskvec, "score", name, kept, "--limit", str(len(samples)), "--samples", scores], check=True,
                   capture_output=True)
    found = []
    pairs = zip(kept.read_text().splitlines(), scores.read_text().splitlines(), strict=True)
    for theirs, ours in ((json.loads(theirs), json.loads(ours)) for theirs, ours in pairs):
        if bool(theirs["exact_match"]) != ours["is_right"]:
            found.append(f"{name} {theirs['doc_id']}: kept score {theirs['exact_match']} and {ours['is_right']}")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("taskvec", type=Path)
    parser.add_argument("--limit", type=int, default=40)
    arguments = parser.parse_args()
    report = {"harness": lm_eval.__version__, "tasks": {}, "differences": []}
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        os.environ["HF_DATASETS_CACHE"] = str(directory / "cache")
        records = ask_taskvec(arguments.taskvec.absolute(), directory, arguments.limit)
        for name in [*GENERATIVE, CHOICE]:
            write_task(directory, name, records[name])
        samples = ask_harness(directory, GENERATIVE, chat=True) | ask_harness(directory, [CHOICE], chat=False)
        for name, ours in records.items():
            theirs = sorted(samples[name], key=lambda sample: sample["doc_id"])
            assert len(ours) == len(theirs) == arguments.limit, name
            for mine, other in zip(ours, theirs, strict=True):
                report["differences"] += [f"{name} {mine['doc_id']}: {what}" for what in differences(mine, other)]
            report["tasks"][name] = {"samples": len(ours), "correct": sum(sample["correct"] for sample in ours)}
        # The one of them whose questions are numbered: the others have subtasks, or are not answered by writing.
        report["differences"] += score_kept(arguments.taskvec.absolute(), directory, "micro-gsm", samples["micro-gsm"])
    print(json.dumps(report, indent=1))
    return 1 if report["differences"] else 0


if __name__ == "__main__":
    sys.exit(main())
