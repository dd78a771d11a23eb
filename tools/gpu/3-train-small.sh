#!/usr/bin/env bash
# Trains `small`, its selector and its policy. Run it again to go on: RUN holds the state.
#
#   RUN      folder of the run (default $OUT/small); give the one of an earlier machine to go on
#   MINUTES  how long to train at most before packing (default 8)
source "$(dirname "$0")/common.sh"
RUN=${RUN:-$OUT/small}
MINUTES=${MINUTES:-8}
mkdir -p "$RUN"
if [ -e .gpu/small-state.tar.00 ] && [ ! -e "$RUN/state.safetensors" ]; then
    cat .gpu/small-state.tar.* | tar --extract --directory "$RUN"
fi
# The run saves its state when it is interrupted.
timeout --signal INT --kill-after 60 "${MINUTES}m" "$VISOR" train universal --recipe small \
    --device "$DEVICE" --out "$RUN" ${SMALL_ARGS:-} 2>&1 | tail -5
if [ -d "$RUN/checkpoint" ]; then
    "$VISOR" train selector --model "$RUN/checkpoint" --suite small --supervision self-supervised \
        --device "$DEVICE" --out "$RUN-selector" && \
    "$VISOR" train policy --model "$RUN-selector/checkpoint" --suite small --device "$DEVICE" \
        --patch-levels 8,16,32,64 --out "$RUN-policy" && \
    "$VISOR" bench compare --model "$RUN-selector/checkpoint" --policy "$RUN-policy/policy" --suite small \
        --questions 4000 --fit-questions 2000 --timed 60 --device "$DEVICE" --out "$OUT/small-compare" >/dev/null
fi
# What travels back: parts of at most 15 MB.
tar --create --directory "$RUN" . | split --bytes 15M --numeric-suffixes - "$OUT/small-state.tar."
tail -1 "$RUN/log.jsonl"
ls -l "$OUT"
