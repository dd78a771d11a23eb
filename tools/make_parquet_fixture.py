# /// script
# requires-python = ">=3.10"
# dependencies = ["pillow==13.0.0", "pyarrow==26.0.1"]
# ///
"""Writes `crates/visor-train/tests/parquet/scienceqa.parquet`: a table as the Hugging Face hub
distributes ScienceQA, written by what the hub's tables are written with.

    uv run tools/make_parquet_fixture.py        (or: pip install those two, then python3)

These versions write the same bytes again: nothing in them depends on time or place.
"""

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

TARGET = Path(__file__).parent.parent / "crates/visor-train/tests/parquet/scienceqa.parquet"

SCHEMA = pa.schema(
    [
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ("question", pa.string()),
        ("choices", pa.list_(pa.string())),
        ("answer", pa.int8()),
        ("hint", pa.string()),
        ("task", pa.string()),
        ("grade", pa.string()),
        ("subject", pa.string()),
        ("lecture", pa.string()),
    ]
)


def picture(grey: int) -> dict:
    out = io.BytesIO()
    Image.new("RGB", (3, 2), (grey, grey, grey)).save(out, "PNG")
    return {"bytes": out.getvalue(), "path": "image.png"}


def row(image: dict | None, choices: list[str], answer: int, hint: str) -> dict:
    return {
        "image": image,
        "question": "Which?",
        "choices": choices,
        "answer": answer,
        "hint": hint,
        "task": "closed choice",
        "grade": "grade2",
        "subject": "natural science",
        "lecture": "",
    }


ROWS = [
    row(picture(10), ["x", "y"], 1, "A hint."),
    row(None, ["x", "y"], 0, ""),
    row(picture(30), ["x", "y", "z"], 2, ""),
    row(picture(10), ["x", "y"], 0, ""),
]

if __name__ == "__main__":
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(ROWS, schema=SCHEMA)
    # Few rows in a group, as where pictures are; two groups here.
    pq.write_table(table, TARGET, row_group_size=3)
    print(f"{TARGET.name}: {TARGET.stat().st_size} bytes")
