"""Makes questions.parquet, three made-up questions in the columns of SciQ, as `datasets` writes them.

    python3 questions.py        # pyarrow 26.0.1
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = [
    ("What is wet?", "sand", "glass", "wood", "water", "Rain is water."),
    ("What is hot?", "ice", "snow", "frost", "fire", ""),
    ("Was ist größer?", "Maus", "Käfer", "Floh", "Elefant", "Ein Elefant \"wiegt\" 5\u00a0t.\n"),
]
COLUMNS = ["question", "distractor3", "distractor1", "distractor2", "correct_answer", "support"]

table = pa.table({name: pa.array([row[index] for row in ROWS], pa.string()) for index, name in enumerate(COLUMNS)})
pq.write_table(table, Path(__file__).parent / "questions.parquet", compression="snappy")
