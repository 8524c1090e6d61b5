#!/bin/sh
# SmolLM2-135M-Instruct, fine-tuned on a part of DailyDialog with four losses; docs/results/smollm2.md has the results.
#
#   sh scripts/smollm2/run.sh DAILYDIALOG MODEL [JOBS]    the folder of the corpus, the folder of the model in safetensors,
#                                                         and trainings at the same time, one core each (2)
#
# Two seeds each of ROWS, by default all four. When the command is given again, what is finished is not repeated.
# RUNS=DIR and DATA=DIR replace runs/smollm2 and data-bin/. A GGUF file becomes such a folder by
# load_pretrained(folder, file) of eureka_nlg.finetune.model and save_pretrained of model and tokenizer.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
bin=${VENV:-$root/.venv}/bin
runs=${RUNS:-$root/runs/smollm2}
data=${DATA:-$root/data-bin}
part=$data/dailydialog_512
export OMP_NUM_THREADS=1
export MALLOC_MMAP_THRESHOLD_=8589934592 MALLOC_TRIM_THRESHOLD_=17179869184 MALLOC_TOP_PAD_=67108864

# A piece of work, for which this script calls itself: one training, and its replies.
if [ "${1-}" = one ]; then
    row=$2 seed=$3 model=$4
    folder=$runs/$row/seed$seed
    case $row in
    ce) set -- loss=cross_entropy ;;
    dft) set -- loss=dft ;;
    eureka_one) set -- encouragement=one ;;
    eureka_counts) set -- ;;
    *) echo "no row $row" >&2; exit 2 ;;
    esac
    mkdir -p "$folder"
    if [ ! -f "$folder/trained" ]; then
        "$bin/eureka" finetune "$root/configs/finetune/smollm2_dailydialog.yaml" "$@" "model=$model" "data=$part" \
            "output_dir=$folder" "seed=$seed" use_cpu=true disable_tqdm=true >>"$folder/output.txt" 2>&1
        touch "$folder/trained"
    fi
    [ -f "$folder/replies.test.txt" ] || "$bin/eureka" generate "$folder" --split test --beam 1 --max-len-b 64
    exit
fi

corpus=${1:?the folder of DailyDialog} model=${2:?the folder of the model} jobs=${3:-2}
if [ ! -d "$data/dailydialog_messages" ]; then
    "$bin/eureka" prepare "$corpus" --out "$data/dailydialog_messages" --format-out messages
fi
[ -f "$part/test.jsonl" ] || "$bin/python" "$root/scripts/smollm2/sample.py" "$data/dailydialog_messages" "$part"
for seed in 1 2; do
    for row in ${ROWS:-ce dft eureka_one eureka_counts}; do echo "$row $seed"; done
done | xargs -P "$jobs" -L 1 sh -c 'sh "$0" one "$2" "$3" "$1"' "$root/scripts/smollm2/run.sh" "$model"
if [ ! -f "$runs/base/replies.test.txt" ]; then
    mkdir -p "$runs/base"
    "$bin/eureka" generate "$model" --data "$part" --split test --beam 1 --max-len-b 64 --out "$runs/base/replies.test.txt"
fi
"$bin/python" "$root/scripts/smollm2/tables.py" "$runs" "$part"
