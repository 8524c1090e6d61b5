#!/bin/sh
# The committed rows of the losses and of whole trainings, and their figure: about twenty minutes on a quiet machine.
#
#   benchmarks/all.sh data-bin/convai2_small
#
# One thread. PYTHON=.venv/bin/python names another Python. The folder is only needed for whole trainings. Old rows are
# replaced: they would be those of other code.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python}
results=benchmarks/results
export OMP_NUM_THREADS=1
rm -f $results/loss_kernel.csv $results/linear_loss_kernel.csv

loss() { $python -W ignore benchmarks/loss_kernel.py --out $results/loss_kernel.csv "$@"; }
linear() { $python -W ignore benchmarks/linear_loss_kernel.py --out $results/linear_loss_kernel.csv "$@"; }
keeps="MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=4294967296"

(
    export $keeps
    loss --kernels "eureka fused" --rows 64 256 --classes 10 1000 --rounds 101
    loss --kernels "eureka fused" --rows 64 256 1024 --classes 18848 100000 --rounds 9
    loss --kernels "eureka fused, portable" "plain formula" --rows 64 256 1024 --classes 18848 --rounds 2
    loss --kernels "cross_entropy, compiled" "eureka fused, compiled" --compile --rows 512 --classes 2854 --rounds 25
    linear --dtypes float32 --rows 64 --hidden 64 --classes 1000 --rounds 51
    linear --dtypes float32 --rows 64 1024 --hidden 256 --classes 8000 --rounds 7
    linear --dtypes float32 --rows 64 --hidden 256 --classes 50000 128000 --rounds 2
    linear --dtypes float32 --rows 1024 --hidden 256 --classes 18848 --rounds 2
    linear --dtypes float32 --rows 4096 --hidden 256 --classes 8000 50000 --rounds 2
    linear --dtypes float32 --rows 16384 --hidden 256 --classes 8000 --rounds 2
    linear --dtypes float32 --rows 64 --hidden 2048 --classes 8000 128000 --rounds 2
    linear --dtypes float32 --rows 1024 --hidden 2048 --classes 8000 50000 --rounds 2
    linear --dtypes bfloat16 --rows 64 --hidden 256 --classes 8000 --rounds 2
)
loss --kernels "eureka fused" --rows 64 256 1024 --classes 18848 --rounds 4
$python benchmarks/figure.py
if [ $# -gt 0 ]; then
    rm -f $results/whole_training.csv
    (
        export $keeps
        for hidden in 128 256; do
            $python -W ignore benchmarks/whole_training.py "$1" --hidden $hidden --embedding $hidden --rounds 16 \
                --out $results/whole_training.csv
        done
    )
fi
