#!/usr/bin/env bash
# The paper's network on CIFAR-10, trained for each library and core class, then proven on
# emulated cores: every layer of 200 images on each core, 2,000 outputs on the Cortex-M4,
# and a legacy average pool caught on the wrong core.
#
#     CMSIS_NN=DIR CMSIS_5=DIR examples/cores.sh DIRECTORY [RESULTS]
#
# DIRECTORY holds cifar-10-batches-bin or cifar-10-batches-py; `kanji-np` must be on the
# PATH. CMSIS_NN (7.0.0) and CMSIS_5 (5.9.0) name the real libraries; without them the
# portable kernels stand for both. Training goes on where it was interrupted.
set -euo pipefail

data=cifar10:${1:?usage: examples/cores.sh DIRECTORY [RESULTS]}
results=${2:-runs}
recipe=(--channels 32,32,64 --epochs 20 --batch 64 --lr 0.015 --label-smoothing 0.1
    --crop 3 --name cifar10 --resume)

say() { printf '\n== %s\n' "$*"; }

# The real library's options if it is there, else none.
real() {
    case $1 in
        s8*) [ -z "${CMSIS_NN:-}" ] || echo "--library cmsis-nn --cmsis-nn $CMSIS_NN" ;;
        q7*) [ -z "${CMSIS_5:-}" ] || echo "--library cmsis-nn --cmsis-nn $CMSIS_5" ;;
    esac
}

# NAME OPTIONS...: train, score and export.
make_network() {
    local name=$1
    shift
    say "$name: train"
    kanji-np train --data "$data" "${recipe[@]}" "$@" --directory "$results/$name" | grep accuracy
    kanji-np export "$results/$name/model.npz" "$results/$name/firmware" > /dev/null
}

# NAME CORE IMAGES OPTIONS...: compare on an emulated core, portable and real kernels.
prove() {
    local name=$1 core=$2 images=$3
    shift 3
    say "$name on $core, $images images, ccore"
    kanji-np verify "$results/$name/firmware" --data "$data" --on "$core" --limit "$images" "$@"
    if [ -n "$(real "$name")" ]; then
        say "$name on $core, $images images, the real library"
        # shellcheck disable=SC2046
        kanji-np verify "$results/$name/firmware" --data "$data" --on "$core" \
            --limit "$images" $(real "$name") "$@"
    fi
}

make_network s8-m4 --core cortex-m4
make_network s8-m55 --core cortex-m55
make_network q7-m4 --target cmsis-nn-q7 --core cortex-m4
make_network q7-m3 --target cmsis-nn-q7 --core cortex-m3
make_network q7-average-m4 --target cmsis-nn-q7 --core cortex-m4 --pool average

for name in s8-m4 s8-m55 q7-m4 q7-m3; do
    prove "$name" "cortex-${name#*-}" 200 --layers
done
prove s8-m4 cortex-m4 2000
prove q7-m4 cortex-m4 2000

say "q7-average-m4: what a Cortex-M3 makes of it"
kanji-np evaluate "$results/q7-average-m4/model.npz" --data "$data"
kanji-np evaluate "$results/q7-average-m4/model.npz" --data "$data" --core cortex-m3
prove q7-average-m4 cortex-m4 200 --layers
for options in "" "$(real q7)"; do
    # shellcheck disable=SC2086
    if kanji-np verify "$results/q7-average-m4/firmware" --data "$data" --on cortex-m3 \
        --limit 200 --layers $options; then
        echo "the wrong core went unnoticed" >&2
        exit 1
    fi
done
