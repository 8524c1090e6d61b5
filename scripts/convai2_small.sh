#!/bin/sh
# Cross-entropy and Eureka on ConvAI2 at a size for two cores; docs/results/convai2.md holds what came out.
#
#   sh scripts/convai2_small.sh SOURCE        the folder with train*, valid* and test* files, or the word convai2
#
# Both trainings run side by side, one core each, about 40 minutes on two quiet cores. Give the command again after an
# interruption: the trainings go on from their last checkpoint, and decoding starts over.
set -eu
source=${1:?the folder with the corpus, or the word convai2}
cd "$(dirname "$0")/.."
eureka="${VENV:-.venv}/bin/eureka"
data=data-bin/convai2_small
systems="ce eureka"

[ -d "$data" ] || "$eureka" prepare "$source" --out "$data" --history-turns 1 --max-context-tokens 60 --min-count 2
split=valid
[ ! -f "$data/references/test.txt" ] || split=test

for system in $systems; do
    run=runs/convai2_small_$system
    mkdir -p "$run"
    OMP_NUM_THREADS=1 "$eureka" train "configs/dialogue/convai2_small_$system.yaml" \
        log_format=json log_interval=50 >>"$run/train.log" 2>&1 &
done
wait

for checkpoint in best last; do
    for beam in 1 5; do
        hypotheses=
        for system in $systems; do
            run=runs/convai2_small_$system
            replies=$run/replies.$split.$checkpoint.beam$beam.txt
            "$eureka" generate "$run/checkpoint_$checkpoint.pt" --split "$split" --beam "$beam" --perplexity --out "$replies"
            hypotheses="$hypotheses $system=$replies"
        done
        # the names hold no spaces, so they may be split here
        # shellcheck disable=SC2086
        "$eureka" evaluate --hypotheses $hypotheses --references "$data/references/$split.txt" \
            --json "runs/convai2_small.$split.$checkpoint.beam$beam.json"
    done
done
