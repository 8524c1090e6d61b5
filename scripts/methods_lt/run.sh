#!/bin/sh
# OLTR, FSA and MBJ beside cross-entropy, CB† and Decoupling-cRT, on CIFAR-10-LT and CIFAR-100-LT, imbalance degree 100.
#
#   sh scripts/methods_lt/run.sh CIFAR10 CIFAR100 [SCALE]     hub names or folders, and the share of the 200 epochs (0.15)
#
# One seed, one training at a time, CIFAR-10-LT first. Interrupted, it goes on in the middle of an epoch with the same
# command; finished runs are not run again. CB† and MBJ† branch off the cross-entropy run, the second stages start from
# its last checkpoint. Logit adjustment afterwards needs no training. The tables are printed and kept in runs/DATA/methods.json.
set -eu
cifar10=${1:?CIFAR-10: a folder, or uoft-cs/cifar10}
cifar100=${2:?CIFAR-100: a folder, or uoft-cs/cifar100}
scale=${3:-0.15}
absolute() {
    case $1 in /*) echo "$1" ;; *) if [ -d "$1" ]; then echo "$PWD/$1"; else echo "$1"; fi ;; esac
}
cifar10=$(absolute "$cifar10")
cifar100=$(absolute "$cifar100")
cd "$(dirname "$0")/../.."
eureka="${VENV:-.venv}/bin/eureka"

# The allocator keeps what it has: 5 % faster steps on a CPU.
export MALLOC_MMAP_THRESHOLD_=8589934592 MALLOC_TRIM_THRESHOLD_=17179869184 MALLOC_TOP_PAD_=67108864

for data in cifar10_lt cifar100_lt; do
    configs=
    for name in ce cb_deferred crt oltr fsa mbj_deferred mbj; do
        configs="$configs configs/vision/$data/$name.yaml"
    done
    case $data in cifar10_lt) source=$cifar10 ;; *) source=$cifar100 ;; esac
    mkdir -p "runs/$data"
    # the names hold no spaces, so they may be split here
    # shellcheck disable=SC2086
    "$eureka" vision sweep --json "runs/$data/methods.json" $configs "data.source=$source" \
        "training.schedule_scale=$scale" seeds=1
    mkdir -p "runs/$data/ce_adjusted/seed1"
    "$eureka" vision evaluate "runs/$data/ce/seed1" --logit-adjustment 1 \
        --json "runs/$data/ce_adjusted/seed1/evaluation.json"
    "${VENV:-.venv}/bin/python" scripts/cifar_lt/tables.py "runs/$data" --json "runs/$data/results/runs.json"
done
