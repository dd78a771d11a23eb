#!/usr/bin/env bash
# Smoke and parity, whatever becomes of each.
cd "$(dirname "$0")"
declare -A ended
for script in 1-smoke 2-parity; do
    bash "./$script.sh"; ended[$script]=$?
done
status=0
for script in 1-smoke 2-parity; do
    case ${ended[$script]} in
        0) echo "$script: held" ;;
        2) echo "$script: could not run"; status=1 ;;
        *) echo "$script: NOT HELD"; status=1 ;;
    esac
done
exit $status
