"""Times taskvec beside mergekit, `cp` and `cat` on 1.5B-parameter checkpoints, alternating, in one run.

    cargo build --release && cargo run --release -p bench-merge     # makes the checkpoints, 9.3 GB
    python3 bench/merge/peers.py --mergekit PATH/mergekit-yaml [--rounds 3] [--only linear,ties]
    python3 bench/merge/peers.py --data target/bench-merge/small ...      # what `bench-merge --shape small` made

`--mergekit` is the program of an environment with mergekit 0.1.5 (`pip install mergekit==0.1.5`); beside it lies
`mergekit-extract-lora`. Every row is what a user
types: a whole process with its start and its imports, writing bf16. `taskvec write` ends when its output is on the disk, so
whatever else writes is followed by `sync`; in the row `linear not synced` neither side waits for the disk, and the merge is
`bench-merge`, which does what `taskvec write` does but for that. taskvec is timed with `--allow-strangers`: the checkpoints are
noise, and the test for relatives is timed in the row `check`. Outputs are removed before each run, the disk is let come to
rest, and inputs are read, so that what one program leaves behind does not slow the next. Figures are medians of wall time;
memory is the most of any run.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BASE = "sft"
TIES = {"density": 0.5, "weight": 1.0}


def recipe(method: str, models: dict[str, dict], data: Path, base: str | None = None, **parameters) -> str:
    """A mergekit YAML, written by hand so that this file needs nothing but Python."""
    lines = [f"merge_method: {method}", "dtype: bfloat16"]
    if base:
        lines.append(f"base_model: {data / base}")
    if parameters:
        lines.append("parameters: {" + ", ".join(f"{name}: {value}" for name, value in parameters.items()) + "}")
    lines.append("models:")
    for model, values in models.items():
        lines.append(f"  - model: {data / model}")
        if values:
            lines.append("    parameters: {" + ", ".join(f"{name}: {value}" for name, value in values.items()) + "}")
    return "\n".join(lines) + "\n"


def merges(data: Path) -> dict[str, tuple[str, str]]:
    """For each row: the expression, and the YAML of the same merge."""
    pair = {"target": TIES, "grpo": TIES}
    changes = "target - sft, grpo - sft, density=0.5"
    return {
        "linear": (
            "target + (grpo - sft)",
            recipe(
                "linear",
                {"target": {"weight": 1.0}, "grpo": {"weight": 1.0}, "sft": {"weight": -1.0}},
                data,
                normalize="false",
            ),
        ),
        "task_arithmetic": (
            "target + (grpo - sft)",
            recipe("task_arithmetic", {"target": {"weight": 1.0}, "grpo": {"weight": 1.0}}, data, BASE),
        ),
        "ties": (f"sft + ties({changes})", recipe("ties", pair, data, BASE)),
        "dare_ties": (f"sft + dare_ties({changes})", recipe("dare_ties", pair, data, BASE)),
        "della": (f'sft + della({changes}, rescale="l1")', recipe("della", pair, data, BASE)),
        "slerp": (
            "slerp(target, grpo, t=0.3)",
            recipe("slerp", {"target": {}, "grpo": {}}, data, "target", t=0.3),
        ),
        "model_stock": (
            "model_stock(sft, target, grpo)",
            recipe("model_stock", {"target": {}, "grpo": {}}, data, BASE),
        ),
    }


class Run:
    inputs: list[str] = []

    def __init__(self, command: list[str], *outputs: Path):
        self.command, self.outputs = command, outputs
        self.seconds: list[float] = []
        self.resident = 0.0

    def once(self) -> None:
        self.clear()
        subprocess.run(["sync"], check=True)
        subprocess.run(["cat", *self.inputs], check=True, stdout=subprocess.DEVNULL)
        began = time.perf_counter()
        process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        if status != 0:
            sys.exit(f"{' '.join(self.command)} failed:\n{errors.decode()[-3000:]}")
        self.seconds.append(time.perf_counter() - began)
        self.resident = max(self.resident, usage.ru_maxrss / 1024)
        self.clear()

    def clear(self) -> None:
        for output in self.outputs:
            subprocess.run(["rm", "-rf", str(output)], check=True)

    def median(self) -> float:
        return statistics.median(self.seconds)


def alternate(rounds: int, *runs: Run) -> None:
    for _ in range(rounds):
        for run in runs:
            run.once()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--taskvec", default="target/release/taskvec")
    parser.add_argument("--merge", default="target/release/bench-merge", help="bench-merge, for the row that is not synced")
    parser.add_argument("--mergekit", help="mergekit-yaml; left out, its rows are left out")
    parser.add_argument("--data", type=Path, default=Path("target/bench-merge"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="rows, separated by commas")
    arguments = parser.parse_args()
    data = arguments.data.resolve()
    scratch = Path(tempfile.mkdtemp(dir=data))
    bound = [f"--let={name}={data / name}" for name in ("target", "grpo", "sft")]
    wanted = arguments.only.split(",") if arguments.only else None
    try:
        inputs = sorted(str(path) for name in ("target", "grpo", "sft") for path in (data / name).glob("*.safetensors"))
        Run.inputs = inputs
        print("| work | taskvec s | beside it s | ratio | taskvec MiB | beside it MiB |\n|---|---|---|---|---|---|", flush=True)

        def row(name: str, ours: Run, other: Run, label: str) -> None:
            if wanted and name not in wanted:
                return
            alternate(arguments.rounds, other, ours)
            ratio = ours.median() / other.median()
            shown = f"{ratio:.2f}" if ratio > 0.2 else f"1/{1 / ratio:.1f}"
            print(
                f"| {name} | {ours.median():.2f} | {label} {other.median():.2f} | {shown} "
                f"| {ours.resident:.0f} | {other.resident:.0f} |",
                flush=True,
            )

        copies = [scratch / f"copy{number}" for number in (1, 2, 3)]
        write = [arguments.taskvec, "-q", "write", "--allow-strangers", *bound, "-o", str(scratch / "out")]
        everything = merges(data)
        row(
            "target + (grpo - sft)",
            Run([*write, everything["linear"][0]], scratch / "out"),
            Run(["sh", "-c", f"cp -r '{data}/target' '{scratch}/copy' && sync"], scratch / "copy"),
            "cp -r and sync",
        )
        pair = [path for path in inputs if "/target/" not in path]
        cat = lambda files: Run(["sh", "-c", 'cat "$@" > /dev/null', "sh", *files])
        synced = lambda command: Run(["sh", "-c", '"$@" && sync', "sh", *command], scratch / "merged")
        quiet = [arguments.taskvec, "-q"]
        extract = ["extract", f"--tuned={data / 'grpo'}", f"--base={data / 'sft'}", "-o", str(scratch / "out")]
        row("extract", Run([*quiet, *extract], scratch / "out"), cat(pair), "cat")
        row("extract --dtype bf16", Run([*quiet, *extract, "--dtype", "bf16"], scratch / "out"), cat(pair), "cat")
        several = [*write, "target + a*(grpo - sft)"]
        row(
            "scales",
            Run([*several, "--over", "a=0.25,0.5,1"], scratch / "out"),
            Run(["sh", "-c", f"for n in 1 2 3; do cp -r '{data}/target' '{scratch}/copy'$n; done && sync"], *copies),
            "3 cp -r and sync",
        )
        row("inspect", Run([*quiet, "inspect", "grpo - sft", *bound]), cat(pair), "cat")
        row("check", Run([*quiet, "check", "target + (grpo - sft)", "--allow-strangers", *bound]), cat(inputs), "cat")
        for name, (expression, yaml) in everything.items():
            if arguments.mergekit:
                (scratch / f"{name}.yml").write_text(yaml)
                merge = [arguments.mergekit, str(scratch / f"{name}.yml"), str(scratch / "merged"), "--quiet"]
                row(name, Run([*write, expression], scratch / "out"), synced(merge), "mergekit and sync")
                if name == "linear":
                    ours = [arguments.merge, "--dir", str(data), "--expression", expression, "--merge-to", str(scratch / "out")]
                    row(f"{name} not synced", Run(ours, scratch / "out"), Run(merge, scratch / "merged"), "mergekit")
        if arguments.mergekit:
            program = str(Path(arguments.mergekit).with_name("mergekit-extract-lora"))
            factors = ["--model", str(data / "grpo"), "--base-model", str(data / "sft"), "--max-rank", "32", "--skip-undecomposable"]
            row(
                "lora --rank 32",
                Run([*quiet, "lora", "grpo - sft", "--rank", "32", *bound, "-o", str(scratch / "out")], scratch / "out"),
                synced([program, *factors, "--out-path", str(scratch / "merged")]),
                "mergekit-extract-lora and sync",
            )
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
