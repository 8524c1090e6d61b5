#!/bin/sh
# Four losses on DailyDialog, decoded as they are and with logit adjustment; docs/results/dailydialog.md has the results.
#
#   sh scripts/dailydialog/run.sh SOURCE [SEED]     the folder with train.txt, validation.txt and test.txt; seed 1
#
# The other losses branch off the run of cross-entropy, two at a time with JOBS=2. When the command is given again,
# finished runs are not repeated, and an interrupted training goes on from its last epoch. RUNS=DIR and DATA=DIR replace
# runs/dailydialog and data-bin/dailydialog.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
script=$root/scripts/dailydialog/run.sh
source=${1:?the folder with the corpus}
seed=${2:-1}
case $source in /*) ;; *) [ ! -d "$source" ] || source=$PWD/$source ;; esac
cd "$root"
bin=${VENV:-.venv}/bin
data=${DATA:-data-bin/dailydialog}
runs=${RUNS:-runs/dailydialog}
export OMP_NUM_THREADS=1
export MALLOC_MMAP_THRESHOLD_=8589934592 MALLOC_TRIM_THRESHOLD_=17179869184 MALLOC_TOP_PAD_=67108864

train() { # CONFIG OPTION...
    folder=$runs/$1/seed$seed
    [ ! -f "$folder/trained" ] || return 0
    echo "train $1, seed $seed"
    mkdir -p "$folder"
    config=configs/dialogue/dailydialog/$1.yaml
    shift
    "$bin/eureka" train "$config" "data=$data" "save_dir=$folder" "seed=$seed" "$@" >>"$folder/output.txt" 2>&1 ||
        { tail -n 5 "$folder/output.txt" >&2; return 1; }
    touch "$folder/trained"
}
case ${3-} in
branch) # for which this script calls itself
    train "$4" --branch-from "$runs/ce/seed$seed"
    exit
    ;;
esac

[ -d "$data" ] || "$bin/eureka" prepare "$source" --out "$data" --both-sides --tokenizer nltk --history-turns 2 \
    --min-count 8
train ce
printf '%s\n' fl2 el_scale16_capped el | xargs -P "${JOBS:-1}" -L 1 sh "$script" "$source" "$seed" branch
"$bin/python" scripts/convai2/adjusted.py "$runs" "$data" --splits test --json "$runs/results/adjusted.json"
