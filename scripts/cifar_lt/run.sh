#!/bin/sh
# The methods of Tables 2, 5, 8 and 10 on CIFAR-10-LT and CIFAR-100-LT; docs/results/cifar10_lt.md has the results.
#
#   sh scripts/cifar_lt/run.sh DATA SOURCE [SCALE [SEEDS]]   cifar10 or cifar100; where it is (hub name or folder);
#                                                            share of the 200 epochs (1); seeds (1; or 1,2,3) of the forms
#
# Two trainings at a time, the forms of the Eureka loss first. When the command is given again, finished runs are not
# repeated, and interrupted ones go on. Deferred rows branch off the cross-entropy run of their seed. On two cores an epoch
# of two runs takes 24 to 39 s, so cross-entropy takes two hours, and a deferred row 26 minutes. DEGREE=50 is another
# imbalance degree than 100, RUNS=DIR another folder than runs/DATA_lt (runs/DATA_lt_50); COMPILE=true compiles the
# network, which is faster on some processors (docs/decisions.md).
set -eu
dataset=${1:?cifar10 or cifar100}
source=${2:?where it is: a folder, or a hub name such as uoft-cs/cifar10}
scale=${3:-1}
seeds=${4:-1}
degree=${DEGREE:-100}
compile=${COMPILE:-false}
case $dataset in cifar10 | cifar100) ;; *) echo "run.sh: cifar10 or cifar100, got $dataset" >&2 && exit 2 ;; esac
case $source in /*) ;; *) [ ! -d "$source" ] || source=$PWD/$source ;; esac
cd "$(dirname "$0")/../.."
eureka="${VENV:-.venv}/bin/eureka"
name_of_data=${dataset}_lt
[ "$degree" = 100 ] || name_of_data=${dataset}_lt_$degree
runs=${RUNS:-runs/$name_of_data}

# The allocator keeps what it has: 5 % faster steps on a CPU.
export MALLOC_MMAP_THRESHOLD_=8589934592 MALLOC_TRIM_THRESHOLD_=17179869184 MALLOC_TOP_PAD_=67108864

sweep() {
    summary=$1 seeds_of_it=$2
    shift 2
    configs=
    for name in "$@"; do
        # CIFAR-100-LT has fewer of them.
        config=configs/vision/${dataset}_lt/$name.yaml
        [ ! -f "$config" ] || configs="$configs $config"
    done
    # the names hold no spaces, so they may be split here
    # shellcheck disable=SC2086
    "$eureka" vision sweep --jobs 2 --json "$runs/$summary.json" $configs "data.source=$source" \
        "data.imbalance_degree=$degree" "training.schedule_scale=$scale" "training.compile=$compile" \
        "seeds=$seeds_of_it" "save_dir=$runs"
}

forms="ce cb_deferred"
for form in released cap075 cap05 capped; do
    forms="$forms el_deferred_$form el_cb_deferred_$form"
done
# shellcheck disable=SC2086
sweep forms "$seeds" $forms el_deferred el_cb_deferred
if [ "$degree" = 100 ]; then
    sweep deferred 1 ce rs_deferred el_deferred_clamped el_cb_deferred_clamped crt lws
    mkdir -p "$runs/ce_adjusted/seed1"
    [ -f "$runs/ce_adjusted/seed1/evaluation.json" ] || "$eureka" vision evaluate "$runs/ce/seed1" \
        --logit-adjustment 1 --json "$runs/ce_adjusted/seed1/evaluation.json"
    sweep from_start 1 ce power_bonus el_capped el el_clamped el_mean_weight fl hfl hfl_half simplified_el_clamped \
        el_encouraging el_encouraging_low logit_adjusted ldam_cb_deferred bbn
fi
if [ "$degree" = 100 ] && [ "$dataset" = cifar10 ]; then
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
fi
"${VENV:-.venv}/bin/python" scripts/cifar_lt/tables.py "$runs" --json "$runs/results/runs.json"
"${VENV:-.venv}/bin/python" scripts/draw_results.py cifar_lt "$runs/results/runs.json" --out "$runs/results"
