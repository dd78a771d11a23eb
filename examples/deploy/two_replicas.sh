#!/usr/bin/env bash
# Two replicas on loopback behind the nginx of this folder; one is killed under load. Nothing may be
# lost but what it was answering, which clients see as an error of HTTP:
#   bash examples/deploy/two_replicas.sh        (visor and nginx on the PATH; ports 8080 to 8082 free)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
scratch=$(mktemp -d)
pids=()
end() {
    for pid in "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
    [ ! -f "$scratch/nginx.pid" ] || kill "$(cat "$scratch/nginx.pid")" 2>/dev/null || true
    rm -rf "$scratch"
}
trap end EXIT

for port in 8081 8082; do
    visor serve --port "$port" --log-level error 2>/dev/null &
    pids+=($!)
done
mkdir "$scratch/logs"
nginx -c "$PWD/examples/deploy/nginx.conf" -p "$scratch" -e "$scratch/logs/error.log" \
    -g "pid $scratch/nginx.pid; daemon on;"
for port in 8080 8081 8082; do
    until curl -sf "localhost:$port/health" >/dev/null; do sleep 0.1; done
done

foreign=$(curl -s -o /dev/null -w '%{http_code}' -H 'host: example.org' localhost:8080/v1/models)
if [ "$foreign" != 421 ]; then
    echo "a foreign name was answered with $foreign" >&2
    exit 1
fi

for sample in 00000 00001 00002 00003 00004 00005 00006 00007; do
    printf '{"model": "nano@auto", "messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,%s"}},
        {"type": "text", "text": "count red ?"}]}]}' \
        "$(base64 -w0 "models/nano/samples/$sample.png")" >"$scratch/$sample.json"
done

client() { # its number: asks 50 times, and leaves one status a line
    for i in $(seq 50); do
        body="$scratch/0000$(((i + $1) % 8)).json"
        curl -s -o /dev/null -w '%{http_code}\n' -H 'content-type: application/json' \
            -H "x-visor-affinity: $(((i + $1) % 8))" --data @"$body" \
            localhost:8080/v1/chat/completions || true
    done >"$scratch/client-$1"
}
clients=()
for number in 1 2 3 4; do
    client "$number" &
    clients+=($!)
done
sleep 0.3
kill -KILL "${pids[0]}"
wait "${clients[@]}"

right=$(cat "$scratch"/client-* | grep -c '^200$' || true)
wrong=$(cat "$scratch"/client-* | grep -vc '^200$' || true)
cat "$scratch"/client-* | sort | uniq -c
# At most what the one that was killed was answering: one request of each client.
if [ "$wrong" -gt 4 ] || [ $((right + wrong)) -ne 200 ]; then
    echo "$wrong of 200 requests were lost" >&2
    exit 1
fi
echo "one of two replicas was killed under load: $right of 200 requests answered, $wrong errors"
