#!/usr/bin/env bash
# What networks reach on CIFAR, by size, precision, scheme, ranges and width of weights:
# each trained, exported, run over all test images on this computer and over 100 on an
# emulated Cortex-M4. Results are JSON files, and a table is made of them.
#
#     CMSIS_NN=DIR examples/accuracy.sh DIRECTORY [PART...]
#
# DIRECTORY holds cifar-10-batches-bin and cifar-100-binary; `kanji-np` must be on the
# PATH. Parts: sizes, resnet8, schemes, resnet8-schemes, cifar100; all of them take
# most of a day on one core. CMSIS_NN (7.0.0) names the real library for the Cortex-M4,
# for which the portable kernels stand otherwise. RUNS and RESULTS name other places than
# runs/ and examples/results/; SEEDS other seeds than 0. What was interrupted goes on
# where it was.
set -euo pipefail

directory=${1:?usage: examples/accuracy.sh DIRECTORY [PART...]}
shift
runs=${RUNS:-runs} results=${RESULTS:-examples/results}
library=(${CMSIS_NN:+--library cmsis-nn --cmsis-nn "$CMSIS_NN"})
schemes=(pow2 pow2-per-channel symmetric asymmetric)
trackers=(minmax percentile learned)

# NAME DATA OPTIONS...: train for every seed, export, verify.
run() {
    local name=$1 data=$2:$directory seed here result
    shift 2
    for seed in ${SEEDS:-0}; do
        here=$runs/$name-$seed result=$results/$name-$seed.json
        kanji-np train --data "$data" --name "${data%%:*}" --seed "$seed" \
            --directory "$here" --result "$result" --resume "$@"
        kanji-np export --force "$here/model.npz" "$here/firmware" > /dev/null
        kanji-np verify "$here/firmware" --data "$data" --result "$result"
        kanji-np verify "$here/firmware" --data "$data" --result "$result" \
            --on cortex-m4 --limit 100 "${library[@]}"
    done
}

# The smallest has too few weights to fit the data as the others do.
sizes() {
    local channels precision options
    for channels in 16,16,32 32,32,64 48,48,96 64,64,128; do
        options=(--epochs 75)
        if [ "$channels" = 16,16,32 ]; then
            options=(--batch-norm --lr 0.05 --label-smoothing 0 --crop 2 --epochs 150)
        fi
        for precision in int8 fp32; do
            run "paper-${channels//,/-}-$precision" cifar10 --channels "$channels" \
                --precision "$precision" "${options[@]}"
        done
    done
}

resnet8() {
    run resnet8-default cifar10 --network resnet8
    run resnet8 cifar10 --network resnet8 --epochs 75 --lr 0.05
    run resnet8-fp32 cifar10 --network resnet8 --precision fp32 --epochs 75 --lr 0.05
}

# A few epochs from a network trained in fp32, for every scheme and tracker, and for
# weights of four bits, which need larger steps: NAME FP32_RUN OPTIONS...
fine_tuned() {
    local name=$1 start=$runs/$2-0/model.npz scheme ranges
    shift 2
    local options=(--start "$start" --freeze-batch-norm 0 "$@")
    for scheme in "${schemes[@]}"; do
        for ranges in "${trackers[@]}"; do
            run "$name-$scheme-$ranges" cifar10 --scheme "$scheme" --ranges "$ranges" \
                --epochs 3 --lr 0.001 "${options[@]}"
        done
    done
    for ranges in "${trackers[@]}"; do
        run "$name-int4-$ranges" cifar10 --scheme symmetric --ranges "$ranges" \
            --weight-bits 4 --epochs 5 --lr 0.005 "${options[@]}"
    done
}

schemes() {
    fine_tuned paper-32-32-64 paper-32-32-64-fp32
}

resnet8-schemes() {
    fine_tuned resnet8 resnet8-fp32 --network resnet8
}

cifar100() {
    run vgg-cifar100 cifar100 --network paper-vgg --epochs 15 --lr 0.05
}

for part in "${@:-sizes resnet8 schemes resnet8-schemes cifar100}"; do
    for name in $part; do "$name"; done
done
kanji-np results "$results" > "$results/results.md"
