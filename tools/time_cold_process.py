#!/usr/bin/env python3
"""Times `visor ask` on a sample picture of nano as whole processes, start to end.

usage: tools/time_cold_process.py VISOR [OUT.json]

Every run is a process of its own; the binary is in the page cache. Standard library alone.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).parent.parent
RUNS = 25


def run(visor):
    picture = ROOT / "models/nano/samples/00004.png"
    start = time.perf_counter()
    command = [visor, "ask", "--image", str(picture), "follow r5 c3 ?"]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    return 1e3 * (time.perf_counter() - start), answer


def main():
    visor, out = sys.argv[1], sys.argv[2:]
    before = os.getloadavg()[0]
    run(visor)
    runs = [run(visor) for _ in range(RUNS)]
    times = sorted(ms for ms, _ in runs)
    record = {
        "schema_version": 1,
        "command": 'visor ask --image models/nano/samples/00004.png "follow r5 c3 ?"',
        "cpus": os.cpu_count(),
        "load_before": round(before, 2),
        "runs": RUNS,
        "answers": sorted({answer for _, answer in runs}),
        "wall_ms": {
            "min": round(times[0], 2),
            "median": round(statistics.median(times), 2),
            "max": round(times[-1], 2),
        },
    }
    text = json.dumps(record, indent=2) + "\n"
    print(text, end="")
    for path in out:
        pathlib.Path(path).write_text(text)


if __name__ == "__main__":
    main()
