"""The one command: `python train.py RUN_FOLDER`. Every stage resumes where it stopped; a finished one is skipped.

  tower      the vision tower learns what stands in each patch (dense target)
  features   the frozen tower's features of --scenes scenes, cached as f16
  language   stage 1 (all M tokens), then stage 2 (a random m per step)
"""

import argparse
import os

import torch

import language
import tokenizer
import tower
from model import Config, MqtLlava


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("run", help="folder for logs, caches and checkpoints")
    args.add_argument("--stage", choices=["tower", "features", "language", "all"], default="all")
    args.add_argument("--tower-minutes", type=float, default=25)
    args.add_argument("--scenes", type=int, default=20_000)
    args.add_argument("--language-minutes", type=float, default=60)
    args.add_argument("--stage-1", type=float, default=0.45, help="share of the language time that uses all M tokens")
    args.add_argument("--threads", type=int, default=os.cpu_count())
    args = args.parse_args()
    torch.set_num_threads(args.threads)
    os.makedirs(args.run, exist_ok=True)
    if not os.path.exists(f"{args.run}/tokenizer/tokenizer.model"):
        tokenizer.build(f"{args.run}/tokenizer")
    if args.stage in ("tower", "all"):
        tower.train(args.run, args.tower_minutes)
    if args.stage in ("features", "all") and not os.path.exists(f"{args.run}/features.npy"):
        net = MqtLlava(Config())
        net.vision_tower.load_state_dict(torch.load(f"{args.run}/tower.pt", weights_only=False)["tower"])
        language.cache_features(net, args.run, args.scenes)
    if args.stage in ("language", "all"):
        language.train(args.run, args.language_minutes, args.stage_1)


if __name__ == "__main__":
    main()
