#!/usr/bin/env bash
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --signal=TERM@120
# A run on a SLURM cluster, one process a node with all of the node's devices:
#   sbatch --nodes=2 --gpus-per-node=8 launch/slurm.sh train \
#     configs/luong2015.py --workdir runs/luong2015
# Called from the project's folder. Two minutes before its time is up the run
# is asked to save; the same command goes on with it.
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:-$(dirname "$0")/..}"
export SEQ2SEQ_JAX_EXTRAS=${SEQ2SEQ_JAX_EXTRAS-cuda}
launch/local.sh "$1" --help >/dev/null # one process sets up, none beside it
if [ "${SLURM_NTASKS:-1}" -gt 1 ]; then
  export SEQ2SEQ_JAX_COORDINATOR=auto
fi
srun launch/local.sh "$@"
