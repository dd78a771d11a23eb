#!/usr/bin/env bash
# Every recording of another program, seam by seam, on the device.
source "$(dirname "$0")/common.sh"
REFERENCE=${REFERENCE:-.gpu/reference}
if [ ! -d "$REFERENCE" ]; then
    [ -e .gpu/reference.tar.xz ] || { echo "no recordings: set REFERENCE when running build.sh" >&2; exit 2; }
    mkdir -p "$REFERENCE" && tar --extract --xz --file .gpu/reference.tar.xz --directory "$REFERENCE"
fi
failed=0
# bf16 keeps eight bits: its tolerance is that of a few roundings a layer.
for setting in "f32 2e-5" "bf16 5e-2"; do
    read -r dtype tolerance <<<"$setting"
    for folder in "$REFERENCE"/*/; do
        name=$(basename "$folder")
        [ -d "$folder/reference" ] || continue
        log=$OUT/parity-$dtype-$name.txt
        if "$VISOR" verify --model "$folder" --reference "$folder/reference" --device "$DEVICE" --dtype "$dtype" \
            --tolerance "$tolerance" >"$log" 2>&1; then
            echo "$dtype $name: held"
        else
            echo "$dtype $name: NOT HELD, see $log"; tail -3 "$log"; failed=1
        fi
    done
done
exit $failed
