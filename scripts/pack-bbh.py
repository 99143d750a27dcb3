"""Packs BIG-Bench Hard as published (bbh/*.json and cot-prompts/*.txt) into the two files that taskvec-eval embeds.

    python3 scripts/pack-bbh.py BIG-BENCH-HARD/bbh BIG-BENCH-HARD/cot-prompts crates/taskvec-eval/data/bbh

Each row of tasks.jsonl.gz is one example with its subtask, in the order of the files; the first row is the canary. Each
row of cot-prompts.jsonl.gz is one file, unchanged.
"""

import gzip
import json
import sys
from pathlib import Path


def write(path, rows):
    with open(path, "wb") as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=9) as file:
        for row in rows:
            file.write((json.dumps(row, ensure_ascii=False) + "\n").encode())


tasks, prompts, out = map(Path, sys.argv[1:])
rows = []
for path in sorted(tasks.glob("*.json")):
    content = json.loads(path.read_text(encoding="utf-8"))
    if not rows:
        rows.append({"canary": content["canary"]})
    rows += [{"task": path.stem, **example} for example in content["examples"]]
write(out / "tasks.jsonl.gz", rows)
files = sorted(prompts.glob("*.txt"))
write(out / "cot-prompts.jsonl.gz", [{"task": path.stem, "text": path.read_text(encoding="utf-8")} for path in files])
