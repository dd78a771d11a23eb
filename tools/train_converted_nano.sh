#!/bin/sh
# The paper's own route on nano's tasks: a dense network with causal masks, converted, trained in two
# stages on questions as a user would bring them, with a policy of cheapest-right labels.
# What is expected of it stands in docs/predictions-conversion.md.
#
# usage: tools/train_converted_nano.sh VISOR FOLDER
#
# VISOR is the binary. Every step is resumable: the same command goes on where it was. About two and
# a half hours on one core.
set -eu
visor=$1
out=$2
mkdir -p "$out"

"$visor" train universal --threads 1 --arm stock --seed 1 --steps 400,2600,2000 --out "$out/stock"

[ -e "$out/train" ] || "$visor" tasks generate --suite nano --split train --seed 7 \
    --count 20000 --conversations --out "$out/train"
[ -e "$out/validation" ] || "$visor" tasks generate --suite nano --split validation --seed 7 \
    --count 500 --conversations --out "$out/validation"

[ -e "$out/converted" ] || "$visor" convert --model "$out/stock/checkpoint" --out "$out/converted" \
    --cross-attention 1,4,6 --self-attention 2,3,5 --rungs '2;2,3;2,3,5'

tune() {
    name=$1
    shift
    "$visor" train universal --threads 1 --model "$out/converted" \
        --data "$out/train/conversations.jsonl" \
        --held-out "$out/validation/conversations.jsonl" --checked 1000 --validate-every 400 \
        --lr 2e-3,1e-3 --batch 64 --micro-batch 64 --features-gib 0 --out "$out/$name" "$@"
}
tune stage-1 --steps 800,0
tune one --steps 800,3000
tune sandwich --steps 800,3000 --sampling sandwich
tune sandwich-10000 --steps 800,10000 --sampling sandwich
# Dense with the steps of the longest of them.
"$visor" train universal --threads 1 --arm stock --seed 1 --steps 400,2600,12800 --out "$out/stock-15800"

mkdir -p "$out/baselines"
cp "$out/stock/outcomes.json" "$out/baselines/stock.json"
for name in one sandwich sandwich-10000; do
    "$visor" train policy --threads 1 --model "$out/$name/checkpoint" \
        --objective cheapest-right --questions 8000 --out "$out/$name-policy"
    "$visor" bench compare --threads 1 --model "$out/$name/checkpoint" \
        --policy "$out/$name-policy/policy" --questions 4000 --timed 0 \
        --baselines "$out/baselines" --out "$out/$name-compare"
done
