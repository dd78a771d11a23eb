#!/usr/bin/env bash
# lmms-eval against a running server: `run.sh URL MODEL FOLDER`, where FOLDER is what
# `visor tasks generate --suite nano --split test` wrote. Prints lmms-eval's table.
# Needs `pip install lmms-eval`; nothing is downloaded.
set -euo pipefail
url=$1 model=$2 folder=$3
tasks=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1
cd "$folder"
exec python3 -m lmms_eval \
  --model openai \
  --model_args "model=$model,base_url=$url/v1,api_key=${VISOR_API_KEY:-none},num_concurrent=8" \
  --include_path "$tasks" --tasks visor_grids --batch_size 1
