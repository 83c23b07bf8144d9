#!/usr/bin/env bash
# How long a batch takes: the paper's four sizes, batches of 32 to 512, 1 and 2 threads,
# int8 and fp32; then where the time of a training step goes.
#
#     examples/speed.sh [RESULTS]
#
# Writes speed.jsonl, speed.md and speed.png to RESULTS, by default examples/results.
# `kanji-np` must be on the PATH, and nothing else should be running. Each measurement is
# a process of its own, so that its peak memory is its own.
set -euo pipefail

results=${1:-$(dirname "$0")/results}
mkdir -p "$results"

for threads in 1 2; do
    for channels in 16,16,32 32,32,64 48,48,96 64,64,128; do
        for batch in 32 64 128 256 512; do
            kanji-np bench --channels "$channels" --batch "$batch" --threads "$threads" --json
        done
    done
done | tee "$results/speed.jsonl"

{
    echo "# How long a batch takes"
    echo
    echo "\`examples/speed.sh\` with $(kanji-np --version) on $(date -u +%Y-%m-%d):" \
        "$(uname -sm), $(nproc) cores."
    echo
    echo "![step time against batch and network](speed.png)"
    echo
    echo '```'
    kanji-np bench --read "$results/speed.jsonl" --plot "$results/speed.png"
    echo '```'
    echo
    echo "Where the time of a training step goes:"
    echo
    echo '```'
    kanji-np bench --channels 32,32,64 --channels 64,64,128 --threads 1 --threads 2 --layers
    echo '```'
} > "$results/speed.md"
