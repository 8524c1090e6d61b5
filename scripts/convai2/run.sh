#!/bin/sh
# Table 4 of the paper on ConvAI2 at a size for two cores, and other options of the Eureka loss;
# docs/results/convai2.md has the results.
#
#   sh scripts/convai2/run.sh SOURCE [JOBS]    the folder with train*, valid* and test* files, or the word convai2;
#                                                 trainings at the same time, one core each (2)
#
# Each row of the table has three seeds, everything else one. Rows that begin as cross-entropy branch off the run of
# cross-entropy of their seed. When the command is given again, finished runs are not repeated, and an interrupted
# training goes on from its last epoch. RUNS=DIR and DATA=DIR replace runs/ and data-bin/convai2_small. This needs flock
# of util-linux.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
script=$root/scripts/convai2/run.sh
source=${1:?the folder with the corpus, or the word convai2}
case $source in /*) ;; *) [ ! -d "$source" ] || source=$PWD/$source ;; esac
cd "$root"
bin=${VENV:-.venv}/bin
data=${DATA:-data-bin/convai2_small}
runs=${RUNS:-runs/convai2_small}
# The allocator keeps what it has, oneDNN the kernels it has compiled for the shapes of the batches, and each process
# has one core.
export ONEDNN_PRIMITIVE_CACHE_CAPACITY=16384 OMP_NUM_THREADS=1
export MALLOC_MMAP_THRESHOLD_=8589934592 MALLOC_TRIM_THRESHOLD_=17179869184 MALLOC_TOP_PAD_=67108864

# Pieces of work, for which this script calls itself: reach CONFIG SEED trains what a run goes on from, the run, and
# decodes. A run is locked while it is worked on, so those that share its beginning wait for it.
train() {
    case $1 in
    ce | ce_no_residual | *_from_start) parent= ;;
    *_longer) parent=${1%_longer} ;; # goes on where the shorter one has ended
    *) parent=ce ;;
    esac
    [ -z "$parent" ] || sh "$script" "$source" train "$parent" "$2"
    mkdir -p "$runs/$1/seed$2"
    # shellcheck disable=SC2086 # no word at all where nothing precedes
    flock "$runs/$1/seed$2/lock" sh "$script" "$source" train_from "$1" "$2" $parent
}
train_from() {
    config=$1 seed=$2 parent=${3-} folder=$runs/$1/seed$2
    [ ! -f "$folder/trained" ] || return 0
    echo "train $config, seed $seed"
    set -- "configs/dialogue/convai2_small/$config.yaml" "data=$data" "save_dir=$folder" "seed=$seed"
    case $config in
    *_longer)
        if [ ! -f "$folder/checkpoint_last.pt" ]; then
            cp "$runs/$parent/seed$seed/fairseq.log" "$folder"
            cp "$runs/$parent/seed$seed/checkpoint_last.pt" "$folder/copying"
            mv "$folder/copying" "$folder/checkpoint_last.pt"
        fi
        ;;
    *) [ -z "$parent" ] || set -- "$@" --branch-from "$runs/$parent/seed$seed" ;;
    esac
    "$bin/eureka" train "$@" >>"$folder/output.txt" 2>&1 || { tail -n 5 "$folder/output.txt" >&2; return 1; }
    touch "$folder/trained"
}
decode() {
    folder=$runs/$1/seed$2
    for decoding in ${DECODINGS:-beam1 beam5 sample}; do
        case $decoding in
        beam1) options="--beam 1 --perplexity" ;;
        beam5) options="--beam 5" ;;
        sample) # of the rows only
            case $1 in *_longer) options="--sampling --sampling-topp 0.9 --beam 1 --seed $2" ;; *) continue ;; esac
            ;;
        esac
        replies=$folder/replies.test.$decoding.txt
        [ ! -f "$replies" ] || continue
        echo "decode $1, seed $2, $decoding"
        # shellcheck disable=SC2086
        "$bin/eureka" generate "$folder/checkpoint_last.pt" --data "$data" --split test --batch-size 128 \
            --out "$replies" $options >/dev/null
    done
}
reach() {
    train "$1" "$2"
    flock "$runs/$1/seed$2/lock" sh "$script" "$source" decode "$1" "$2"
}
case ${2-} in train | train_from | decode | reach)
    work=$2
    shift 2
    "$work" "$@"
    exit
    ;;
esac

jobs=${2:-2}
rows="ce fl1 fl2 el el_scale16_capped"
longer="ce_longer fl1_longer fl2_longer el_longer el_scale16_capped_longer"
others=$(cd configs/dialogue/convai2_small && for config in *.yaml; do echo "${config%.yaml}"; done |
    grep -vxE 'base|(ce|fl1|fl2|el|el_scale16_capped)(_longer)?')

[ -d "$data" ] || "$bin/eureka" prepare "$source" --out "$data" --both-sides --tokenizer nltk --history-turns 1 \
    --min-count 3
{
    for config in $longer; do printf "$config %s\n" 1 2 3; done
    for config in $others; do echo "$config 1"; done
    for config in $rows; do printf "$config %s\n" 1 2 3; done
} | xargs -P "$jobs" -L 1 sh "$script" "$source" reach

# Scores of all systems of a seed, each compared with the cross-entropy of as many epochs.
score() { # BASELINE SEED DECODING CONFIG...: those that have been decoded
    baseline=$1 seed=$2 decoding=$3
    shift 3
    systems=
    for name in "$baseline" "$@"; do
        replies=$runs/$name/seed$seed/replies.test.$decoding.txt
        [ ! -f "$replies" ] || systems="$systems $name=$replies"
    done
    [ -n "$systems" ] || return 0
    # shellcheck disable=SC2086
    "$bin/eureka" evaluate --hypotheses $systems --references "$data/references/test.txt" --train-targets "$data" \
        --significance --json "$runs/scores.$baseline.$decoding.seed$seed.json" \
        --metrics macro_f micro_f parlai_f1 diversity_1 diversity_4 entropy_4 mean_length copies novelty_4 \
        macro_f_head macro_f_body macro_f_tail >"$runs/scores.$baseline.$decoding.seed$seed.txt"
}
for seed in 1 2 3; do
    for decoding in ${DECODINGS:-beam1 beam5 sample}; do
        # shellcheck disable=SC2086
        score ce_longer $seed $decoding ${longer#ce_longer}
        # shellcheck disable=SC2086
        score ce $seed $decoding ${rows#ce} $others
    done
done
checkpoints=
for row in $longer; do
    checkpoints="$checkpoints $runs/$row/seed1/checkpoint_last.pt"
done
# shellcheck disable=SC2086
"$bin/eureka" analyse $checkpoints --names CE "FL 1" "FL 2" EL "EL x 16" --data "$data" --out "$runs/analysis.json" \
    --figures "$runs/figures"
"$bin/python" scripts/convai2/tables.py "$runs" --json "$runs/results/runs.json"
"$bin/python" scripts/draw_results.py convai2 "$runs/results/runs.json" --out "$runs/results"
"$bin/python" scripts/convai2/adjusted.py "$runs" "$data" --json "$runs/results/adjusted.json"
