"""The one command: `python train.py RUN_FOLDER`. Every stage resumes where it stopped; a finished one is skipped.

  tower      the vision tower learns what stands in each patch (dense target)
  features   the frozen tower's features of fresh pictures, cached as f16
  language   stage 1 (all M tokens), then stage 2 (a random m per step)

`--budget` is the whole training's time and shapes the learning-rate schedules; give the same one when resuming.
`--stop-after` ends this call early, safely: run the same command again to go on. Exit code 0: finished; 75: go on.
"""

import argparse
import os
import sys
import time

import torch

import language
import tokenizer
import tower
from run import Clock, Plan


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("run", help="folder for logs, caches and checkpoints")
    args.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args.add_argument("--budget", type=float, default=None, help="minutes of work in all (default 100 on a CPU, 25 on a GPU)")
    args.add_argument("--tower-share", type=float, default=0.25, help="of the budget")
    args.add_argument("--stage-1", type=float, default=0.45, help="share of the language time that uses all M tokens")
    args.add_argument("--stop-after", type=float, default=1e9, help="minutes of wall-clock for this call")
    args.add_argument("--stage", choices=["tower", "features", "language", "all"], default="all")
    args.add_argument("--pictures", type=int, help="whose features the language stage asks about")
    args.add_argument("--workers", type=int, help="processes that draw and ask")
    args.add_argument("--threads", type=int, help="of each process (default: 1 where two processes share a batch)")
    args.add_argument("--seed", type=int, default=1)
    args = args.parse_args()
    stop_at = time.monotonic() + 60 * args.stop_after
    device, plan = torch.device(args.device), Plan.for_device(torch.device(args.device))
    torch.set_num_threads(args.threads or (1 if plan.twins > 1 else os.cpu_count()))
    plan.pictures, plan.workers = args.pictures or plan.pictures, args.workers or plan.workers
    budget = 60 * (args.budget or (25 if device.type == "cuda" else 100))
    os.makedirs(args.run, exist_ok=True)
    if not os.path.exists(f"{args.run}/tokenizer/tokenizer.model"):
        tokenizer.build(f"{args.run}/tokenizer")
    if args.stage in ("tower", "all"):
        clock = Clock(device, budget * args.tower_share, stop_at)
        if not tower.train(args.run, clock, plan, device, args.seed):
            sys.exit(75)
    if args.stage in ("features", "all"):
        language.cache_features(args.run, plan, device, args.seed)
    if args.stage in ("language", "all"):
        clock = Clock(device, budget * (1 - args.tower_share), stop_at)
        if not language.train(args.run, clock, plan, device, args.stage_1, args.seed):
            sys.exit(75)


if __name__ == "__main__":
    main()
