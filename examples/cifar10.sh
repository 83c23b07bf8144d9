#!/usr/bin/env bash
# The paper's network on CIFAR-10: trained in int8 and in fp32 by the same recipe, then
# the int8 one exported and verified with all 10,000 test images.
#
#     examples/cifar10.sh DIRECTORY [RESULTS]
#
# DIRECTORY holds cifar-10-batches-bin or cifar-10-batches-py; `kanji-np` must be on the
# PATH. Run again after an interruption, it goes on where it was.
set -euo pipefail

data=cifar10:${1:?usage: examples/cifar10.sh DIRECTORY [RESULTS]}
results=${2:-runs}

for precision in int8 fp32; do
    kanji-np train --data "$data" --channels 32,32,64 --precision "$precision" \
        --name cifar10 --directory "$results/cifar10-$precision" --resume \
        --result "$results/cifar10-$precision.json"
done
kanji-np export "$results/cifar10-int8/model.npz" "$results/cifar10-int8/firmware"
kanji-np verify "$results/cifar10-int8/firmware" --data "$data" \
    --result "$results/cifar10-int8.json"
kanji-np results "$results"
