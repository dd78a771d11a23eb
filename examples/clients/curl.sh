#!/usr/bin/env bash
# A running `visor serve`, asked with curl: bash curl.sh [URL [PICTURE [QUESTION]]]
set -euo pipefail
url=${1:-http://127.0.0.1:8080}
picture=${2:-models/nano/samples/00004.png}
question=${3:-follow r5 c3 ?}
# For a server with keys.
auth=()
if [ -n "${VISOR_API_KEY:-}" ]; then auth=(-H "authorization: Bearer $VISOR_API_KEY"); fi

body() { # MODEL MORE_FIELDS
    printf '{"model": "%s", "messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,%s"}},
        {"type": "text", "text": "%s"}]}]%s}' "$1" "$(base64 -w0 "$picture")" "$question" "$2"
}
ask() { # what curl is to be told besides
    curl -sS "${auth[@]}" -H 'content-type: application/json' --data @- "$@" \
        "$url/v1/chat/completions"
    echo
}

echo "# models, and budgets of each"
curl -sS "${auth[@]}" "$url/v1/models"; echo
echo "# the policy chooses"
body nano@auto '' | ask
echo "# the cheapest rung, by the model's name and by a header"
body nano@sa0 '' | ask
body nano '' | ask -H 'x-visor-budget: sa0'
echo "# at most so many GFLOPs before the first token"
body nano ', "visor": {"max_gflops": 0.013}' | ask
echo "# piece by piece"
body nano ', "stream": true, "stream_options": {"include_usage": true}' | ask -N
echo "# an error"
body nano@sa99 '' | ask
