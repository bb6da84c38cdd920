#!/bin/bash
# A file of questions, answered by eight tasks: an array over `mqt eval --shard i/n`.
#
#     sbatch slurm.sh
#     cat answers/part-*.jsonl > answers.jsonl
#
# A task that was preempted or cut by its time limit is started again and goes on where it was.
#SBATCH --job-name=mqt-eval
#SBATCH --array=1-8
#SBATCH --gpus=1
#SBATCH --cpus-per-task=4
#SBATCH --mem=16G
#SBATCH --time=04:00:00
#SBATCH --requeue

set -eu
mkdir -p answers
export MQT_CACHE="${TMPDIR:-/tmp}/mqt-$SLURM_ARRAY_TASK_ID"
exec mqt eval questions.jsonl --images images --model ./model -m 16 \
    --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" \
    -o "answers/part-$SLURM_ARRAY_TASK_ID.jsonl"
