"""Times an 11-point sweep beside its evaluations run alone, and beside mergekit and lm-evaluation-harness, in one run.

    cargo build --release
    "$(scripts/harness-env.sh)" bench/sweep/compare.py [--taskvec target/release/taskvec] [--mergekit PATH/mergekit-yaml]
        [--tasks micro-gsm] [--limit 200] [--rounds 3]

The sweep is `micro:target + a*(micro:grpo - micro:sft)` for a from -1 to 1.5 in steps of 0.25. Each side is what a user types:
whole processes with their start and their imports.

 1. One `taskvec sweep` against eleven `taskvec eval EXPR --out`, alternating; medians over rounds. Every answer must be the same.
 2. The same sweep against the way without taskvec: `mergekit-yaml` writes eleven checkpoints, `lm_eval` asks each of them the same
    documents through transformers in single precision; once. Documents, stop strings and limits come from the sweep's own
    records, as in scripts/harness-end-to-end.py. The score of every point must be the same, or is said.

Without `--mergekit`, mergekit 0.1.5 is installed under .cache/mergekit, which is not timed. Exits with 1 where a score differs.
"""

import argparse
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VALUES = [-1 + 0.25 * step for step in range(11)]
MERGEKIT = "mergekit==0.1.5"
QUIET = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "TRANSFORMERS_VERBOSITY": "error",
         "LMEVAL_LOG_LEVEL": "ERROR"}


def text_of(value):
    return f"{value:g}"


def timed(command, **more):
    began = time.perf_counter()
    done = subprocess.run([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **more)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stderr.decode()[-3000:]}")
    return time.perf_counter() - began


def records(directory):
    return [json.loads(line) for line in (directory / "records.jsonl").read_text().splitlines()]


def answers(all_records):
    return {(record["task"], record["doc_id"]): (record["completion"], record["correct"]) for record in all_records}


def sweep(arguments, out):
    over = ",".join(text_of(value) for value in VALUES)
    return timed([arguments.taskvec, "-q", "sweep", "micro:target + a*(micro:grpo - micro:sft)", f"--over=a={over}", "--tasks",
                  arguments.tasks, "--limit", arguments.limit, "--out", out])


def alone(arguments, value, out):
    return timed([arguments.taskvec, "-q", "eval", f"micro:target + ({text_of(value)})*(micro:grpo - micro:sft)", "--tasks",
                  arguments.tasks, "--limit", arguments.limit, "--out", out])


def beside_evaluations(arguments, folder):
    """Median seconds of the sweep and of its evaluations run alone; the sweep's records."""
    sweeps, sums = [], []
    for number in range(arguments.rounds):
        swept = folder / f"sweep-{number}"
        sweeps.append(sweep(arguments, swept))
        of_points = {}
        for record in records(swept):
            of_points.setdefault(record["model"], []).append(record)
        seconds = 0.0
        for value in VALUES:
            out = folder / f"alone-{number}-{text_of(value)}"
            seconds += alone(arguments, value, out)
            if answers(records(out)) != answers(of_points[f"a = {text_of(value)}"]):
                sys.exit(f"the sweep's answers at a = {text_of(value)} are not those of the evaluation alone")
        sums.append(seconds)
        print(f"round {number + 1}: sweep {sweeps[-1]:.2f} s, eleven evaluations {seconds:.2f} s", flush=True)
    return statistics.median(sweeps), statistics.median(sums), of_points


def mergekit(arguments):
    if arguments.mergekit:
        return arguments.mergekit
    environment = ROOT / ".cache" / "mergekit"
    program = environment / "bin" / "mergekit-yaml"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        subprocess.run([environment / "bin" / "pip", "install", "--quiet", MERGEKIT], check=True)
    return program


def recipe(value, models):
    """`target + a*(grpo - sft)` as mergekit's `linear` without normalisation, stored as the embedded models are."""
    weights = {"target": 1.0, "grpo": value, "sft": -value}
    lines = ["merge_method: linear", "dtype: bfloat16", "parameters: {normalize: false}", "models:"]
    for name, weight in weights.items():
        lines += [f"  - model: {models / name}", f"    parameters: {{weight: {weight}}}"]
    return "\n".join(lines) + "\n"


def harness_tasks(folder, of_point):
    """Tasks of the harness with the questions of one point's records."""
    path = ROOT / "scripts" / "harness-end-to-end.py"
    spec = importlib.util.spec_from_file_location("end_to_end", path)
    end_to_end = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(end_to_end)
    by_task = {}
    for record in of_point:
        by_task.setdefault(record["task"], []).append(record)
    for name, its in by_task.items():
        end_to_end.write_task(folder, name, its)
    return list(by_task)


def scores(results):
    """For each task how many were right, from the file that `lm_eval` leaves."""
    [path] = results.rglob("results_*.json")
    found = json.loads(path.read_text())
    counts = {}
    for task, metrics in found["results"].items():
        accuracy = next(value for name, value in metrics.items() if name.startswith("exact_match,"))
        counts[task] = round(accuracy * found["n-samples"][task]["effective"])
    return counts


def beside_checkpoints(arguments, folder, of_points):
    """Seconds of mergekit, seconds of the harness, and where scores differ."""
    models, tasks = folder / "models", folder / "tasks"
    tasks.mkdir()
    subprocess.run([arguments.taskvec, "-q", "micro", "export", "--out", models], check=True, stdout=subprocess.DEVNULL)
    names = harness_tasks(tasks, next(iter(of_points.values())))
    program = mergekit(arguments)
    environment = os.environ | QUIET | {"HF_DATASETS_CACHE": str(folder / "cache")}
    merging, asking, differences = 0.0, 0.0, []
    for value in VALUES:
        label = text_of(value)
        merged, results = folder / f"merged-{label}", folder / f"results-{label}"
        (folder / f"{label}.yml").write_text(recipe(value, models))
        merging += timed([program, folder / f"{label}.yml", merged, "--quiet"], env=environment)
        # mergekit saves the tokenizer anew without the chat template, and configurations that no longer end an answer with
        # <|im_end|>: left so, the model talks on and other numbers follow its answer.
        for name in ("config.json", "generation_config.json", "tokenizer_config.json", "tokenizer.json", "special_tokens_map.json"):
            shutil.copy(models / "target" / name, merged / name)
        asking += timed([Path(sys.executable).with_name("lm_eval"), "run", "--model", "hf", "--model_args",
                         f"pretrained={merged},dtype=float32", "--device", "cpu", "--tasks", ",".join(names), "--include_path",
                         tasks, "--apply_chat_template", "--batch_size", arguments.batch, "--output_path", results],
                        env=environment)
        theirs = scores(results)
        for name in names:
            ours = sum(record["correct"] for record in of_points[f"a = {label}"] if record["task"] == name)
            if ours != theirs[name]:
                differences.append(f"a = {label}, {name}: {ours} right, and {theirs[name]} by the harness")
        print(f"a = {label}: {theirs}; mergekit {merging:.0f} s, lm_eval {asking:.0f} s so far", flush=True)
        subprocess.run(["rm", "-rf", merged], check=True)
    return merging, asking, differences


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--taskvec", type=Path, default=ROOT / "target" / "release" / "taskvec")
    parser.add_argument("--mergekit", type=Path)
    parser.add_argument("--tasks", default="micro-gsm", help="generative micro tasks")
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=64, help="documents that the harness asks at once")
    parser.add_argument("--only-evaluations", action="store_true", help="leave out the second part")
    arguments = parser.parse_args()
    arguments.taskvec = arguments.taskvec.absolute()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        ours, evaluations, of_points = beside_evaluations(arguments, folder)
        print(f"sweep {ours:.2f} s, its evaluations alone {evaluations:.2f} s: {ours / evaluations:.2f} times", flush=True)
        if arguments.only_evaluations:
            return 0
        merging, asking, differences = beside_checkpoints(arguments, folder, of_points)
        peers = merging + asking
        print(f"mergekit {merging:.1f} s + lm_eval {asking:.1f} s = {peers:.1f} s: the sweep is {peers / ours:.1f} times as fast")
        print("\n".join(differences) or "the scores of all points are equal")
        return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
