#!/usr/bin/env bash
# What it costs to round gradients to bfloat16: the network and the recipe of cifar10.sh
# in int8, three seeds each way. Needs a CPU with AVX-512 BF16.
#
#     examples/gradients.sh DIRECTORY [RESULTS]
#
# DIRECTORY holds cifar-10-batches-bin or cifar-10-batches-py; `kanji-np` must be on the
# PATH. Run again after an interruption, it goes on where it was.
set -euo pipefail

data=cifar10:${1:?usage: examples/gradients.sh DIRECTORY [RESULTS]}
results=${2:-runs}

for seed in 0 1 2; do
    for gradients in float32 bfloat16; do
        echo "== $gradients, seed $seed"
        kanji-np train --data "$data" --channels 32,32,64 --epochs 20 --batch 64 \
            --lr 0.015 --label-smoothing 0.1 --crop 3 --name cifar10 --seed "$seed" \
            --gradients "$gradients" --directory "$results/$gradients-$seed" --resume \
            2> /dev/null | grep accuracy
    done
done
