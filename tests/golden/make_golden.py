"""Rewrites every golden file beside this script. See README.md."""

import argparse
import os
import shutil

import torch

from golden import model_cases, pillow_cases, text, tokenizer_cases

ROOT = os.path.dirname(os.path.abspath(__file__))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--llama-tokenizer", metavar="llama-tokenizer.js", help="else tokenizer/llama_* stay as they are")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for name in [case.name for case in model_cases.CASES] + ["pictures", "pillow"]:
        shutil.rmtree(os.path.join(ROOT, name), ignore_errors=True)
    pillow_cases.write(ROOT)
    pillow_cases.write_bicubic(ROOT)
    model = text.train()
    tokenizer_cases.write(ROOT, model, args.llama_tokenizer)
    previous = None
    for row in model_cases.write(ROOT, model):
        last = row.pop("last logits by m")
        moved = float((last - previous).abs().max()) if previous is not None else 0.0
        previous = last
        print(*(f"{k}={v:.2e}" if isinstance(v, float) else f"{k}={v}" for k, v in row.items()), f"moved={moved:.2f}")


if __name__ == "__main__":
    main()
