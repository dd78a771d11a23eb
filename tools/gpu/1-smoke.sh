#!/usr/bin/env bash
# One question of every family at every rung of nano: the device answers as the CPU does.
source "$(dirname "$0")/common.sh"
{
    echo "device: $(device_name)"
    nvidia-smi --query-gpu=driver_version,memory.total --format=csv,noheader 2>&1
    ldconfig -p 2>/dev/null | grep -m1 nvrtc || echo "no NVRTC in the loader's list"
    grep -h 'define CUDA_VERSION' "${CUDA_PATH:-/nonexistent}/include/cuda.h" 2>/dev/null || echo "no cuda.h"
    "$VISOR" --version
    "$VISOR" devices
} | tee "$OUT/versions.txt"
export VISOR DEVICE
python3 - "$OUT/smoke.json" <<'PYTHON'
import json, os, subprocess, sys, time

visor, device = os.environ["VISOR"], os.environ["DEVICE"]
samples = "models/nano/samples"
families = {}
for line in open(f"{samples}/samples.jsonl"):
    sample = json.loads(line)
    families.setdefault(sample["family"], sample)

def ask(sample, rung, device):
    picture = os.path.join(samples, sample["image"])
    command = [visor, "ask", "--json", "--budget", rung, "--device", device, "--image", picture, sample["question"]]
    start = time.time()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        return {"error": done.stderr.strip()[-400:]}
    answer = json.loads(done.stdout)
    keys = ("text", "token_ids", "timing_ms")
    return {**{key: answer[key] for key in keys}, "wall_s": round(time.time() - start, 2)}

cases, differ = [], 0
for family, sample in sorted(families.items()):
    for rung in ("sa0", "sa1", "sa2", "sa3"):
        there, here = ask(sample, rung, device), ask(sample, rung, "cpu")
        equal = "error" not in there and there["token_ids"] == here.get("token_ids")
        differ += not equal
        cases.append({"family": family, "rung": rung, "equal": equal, device: there, "cpu": here})
        print(family, rung, "equal" if equal else f"DIFFERS: {there} / {here}", flush=True)
json.dump({"device": device, "cases": cases, "differ": differ}, open(sys.argv[1], "w"), indent=1)
print(f"{len(cases) - differ} of {len(cases)} answers equal")
sys.exit(differ > 0)
PYTHON
