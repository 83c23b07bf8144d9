#!/usr/bin/env bash
# Three networks of MLPerf Tiny (keywords, persons, sounds of a machine), trained on
# built-in data in some minutes: exported, run over all test inputs on this computer and
# over 100 on an emulated Cortex-M4. Results are JSON files.
#
#     [CMSIS_NN=DIR] examples/tiny.sh [RUNS [RESULTS]]
#
# `kanji-np` must be on the PATH. CMSIS_NN (7.0.0) names the real library for the
# Cortex-M4, for which the portable kernels stand otherwise.
set -euo pipefail

runs=${1:-runs} results=${2:-runs}
library=(${CMSIS_NN:+--library cmsis-nn --cmsis-nn "$CMSIS_NN"})
mkdir -p "$results"

# NETWORK DATA OPTIONS...: train, export, verify.
run() {
    local network=$1 data=$2 here=$runs/$1 result=$results/$1-0.json
    shift 2
    kanji-np train --network "$network" --data "$data" --name "${network//-/_}" \
        --directory "$here" --result "$result" --resume "$@"
    kanji-np export --force "$here/model.npz" "$here/firmware" > /dev/null
    kanji-np verify "$here/firmware" --data "$data" --result "$result"
    kanji-np verify "$here/firmware" --data "$data" --result "$result" \
        --on cortex-m4 --limit 100 "${library[@]}"
}

run ds-cnn synthetic-keywords --epochs 5 --batch 32 --lr 0.1
run mobilenet-v1-025 synthetic-persons --epochs 12 --batch 16
run autoencoder synthetic-machines --epochs 15 --batch 32 --optimizer adam --lr 0.01
kanji-np results "$results"
