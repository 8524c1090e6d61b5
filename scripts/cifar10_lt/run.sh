#!/bin/sh
# The methods of Tables 2, 8 and 10 on CIFAR-10-LT, imbalance degree 100; docs/results/cifar10_lt.md has the results.
#
#   sh scripts/cifar10_lt/run.sh SOURCE [SCALE]      CIFAR-10 (hub name or folder), and the share of the 200 epochs (0.15)
#
# One seed of every method, three of the main ones, two trainings at a time. Finished runs are not run again and
# interrupted ones go on. With 0.15 about 100 minutes on two quiet cores (estimated from the time of an epoch).
set -eu
source=${1:?CIFAR-10: a folder, or uoft-cs/cifar10}
scale=${2:-0.15}
case $source in /*) ;; *) [ ! -d "$source" ] || source=$PWD/$source ;; esac
cd "$(dirname "$0")/../.."
eureka="${VENV:-.venv}/bin/eureka"
runs=runs/cifar10_lt

# The allocator keeps what it has: 5 % faster steps on a CPU.
export MALLOC_MMAP_THRESHOLD_=8589934592 MALLOC_TRIM_THRESHOLD_=17179869184 MALLOC_TOP_PAD_=67108864

sweep() {
    summary=$1 seeds=$2
    shift 2
    configs=
    for name in "$@"; do
        configs="$configs configs/vision/cifar10_lt/$name.yaml"
    done
    # the names hold no spaces, so they may be split here
    # shellcheck disable=SC2086
    "$eureka" vision sweep --jobs 2 --json "$runs/$summary.json" $configs "data.source=$source" \
        "training.schedule_scale=$scale" "seeds=$seeds"
}

floors="el_deferred_capped el_deferred_clamped el_cb_deferred_capped el_cb_deferred_clamped"
methods="ce el el_capped el_clamped el_mean_weight cb_deferred rs_deferred el_deferred el_cb_deferred $floors fl hfl
hfl_half simplified_el_clamped power_bonus ldam_cb_deferred crt lws"
# shellcheck disable=SC2086
sweep one_seed 1 $methods
# shellcheck disable=SC2086
sweep three_seeds 1,2,3 ce cb_deferred el_deferred el_cb_deferred $floors
# Without a clamp its loss is soon no number any more, and the command says so.
sweep diverging 1 simplified_el || true

shown="ce power_bonus el_capped el_deferred_capped cb_deferred el_cb_deferred_capped"
folders=
for name in $shown; do
    folders="$folders $runs/$name/seed1"
done
# shellcheck disable=SC2086
"$eureka" analyse $folders --names $shown --out "$runs/analysis.json" --figures "$runs/figures"
"${VENV:-.venv}/bin/python" scripts/cifar10_lt/tables.py "$runs" --json "$runs/results/runs.json"
"${VENV:-.venv}/bin/python" scripts/draw_results.py cifar10_lt "$runs/results/runs.json" --out "$runs/results"
