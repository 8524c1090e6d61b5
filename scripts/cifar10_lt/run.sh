#!/bin/sh
# The methods of Tables 2, 8 and 10 on CIFAR-10-LT, imbalance degree 100; docs/results/cifar10_lt.md has the results.
#
#   sh scripts/cifar10_lt/run.sh SOURCE [SCALE [SEEDS]]   CIFAR-10 (hub name or folder), share of the 200 epochs (1), seeds (1; or 1,2,3) of the forms
#
# Two trainings at a time, the forms of the Eureka loss first. When the command is given again, finished runs are not
# repeated, and interrupted ones go on. Deferred rows branch off the cross-entropy run of their seed. On two cores an epoch
# of two runs takes 23 to 39 s, so cross-entropy takes two hours, and a deferred row 26 minutes. RUNS=DIR replaces
# runs/cifar10_lt.
set -eu
source=${1:?CIFAR-10: a folder, or uoft-cs/cifar10}
scale=${2:-1}
seeds=${3:-1}
case $source in /*) ;; *) [ ! -d "$source" ] || source=$PWD/$source ;; esac
cd "$(dirname "$0")/../.."
eureka="${VENV:-.venv}/bin/eureka"
runs=${RUNS:-runs/cifar10_lt}

# The allocator keeps what it has: 5 % faster steps on a CPU.
export MALLOC_MMAP_THRESHOLD_=8589934592 MALLOC_TRIM_THRESHOLD_=17179869184 MALLOC_TOP_PAD_=67108864

sweep() {
    summary=$1 seeds_of_it=$2
    shift 2
    configs=
    for name in "$@"; do
        configs="$configs configs/vision/cifar10_lt/$name.yaml"
    done
    # the names hold no spaces, so they may be split here
    # shellcheck disable=SC2086
    "$eureka" vision sweep --jobs 2 --json "$runs/$summary.json" $configs "data.source=$source" \
        "training.schedule_scale=$scale" "seeds=$seeds_of_it" "save_dir=$runs"
}

forms="ce cb_deferred"
for form in released cap075 cap05 capped; do
    forms="$forms el_deferred_$form el_cb_deferred_$form"
done
# shellcheck disable=SC2086
sweep forms "$seeds" $forms el_deferred el_cb_deferred
sweep deferred 1 ce rs_deferred el_deferred_clamped el_cb_deferred_clamped crt lws
mkdir -p "$runs/ce_adjusted/seed1"
[ -f "$runs/ce_adjusted/seed1/evaluation.json" ] || "$eureka" vision evaluate "$runs/ce/seed1" --logit-adjustment 1 \
    --json "$runs/ce_adjusted/seed1/evaluation.json"
sweep from_start 1 power_bonus el_capped el el_clamped el_mean_weight fl hfl hfl_half simplified_el_clamped ldam_cb_deferred
# Without a clamp its loss is soon no number any more, and the command says so.
# (Beside a second config, which is trained already, it has a folder of its own below RUNS.)
sweep diverging 1 ce simplified_el || true

shown="ce power_bonus el_capped el_deferred_capped cb_deferred el_cb_deferred_capped"
folders=
for name in $shown; do
    folders="$folders $runs/$name/seed1"
done
# shellcheck disable=SC2086
"$eureka" analyse $folders --names $shown --out "$runs/analysis.json" --figures "$runs/figures"
"${VENV:-.venv}/bin/python" scripts/cifar10_lt/tables.py "$runs" --json "$runs/results/runs.json"
"${VENV:-.venv}/bin/python" scripts/draw_results.py cifar10_lt "$runs/results/runs.json" --out "$runs/results"
