"""`mqt` and its peers on the processor, in turn, with as many threads each: a table of medians.

    python run.py --mqt target/release/mqt --llama BUILD [--avx2 BUILD] --models DIR [--rounds 3]

BUILD is a folder that llama.cpp was built in (README.md); DIR holds llama-200m.TYPE.gguf.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
TYPES = ["q4_0", "iq4_nl", "q4_k_m"]
Figures = dict[str, list[float]]


def output(command: list[str], **env: str) -> str:
    """What a command prints."""
    done = subprocess.run(command, env=os.environ | env, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stderr.strip()[-400:]}")
    return done.stdout


def note(figures: Figures, name: str, value: float) -> None:
    figures.setdefault(name, []).append(value)
    print(f"  {name}: {value:.4g}", file=sys.stderr, flush=True)


def ours(figures: Figures, mqt: str, threads: int, isa: str, arithmetic: str) -> None:
    """Decode at 100 and prefill of 64 in tokens/s, the tower in milliseconds."""
    words = "--shape llama-200m --weights q4 --adapter cpu --contexts 100 --prefill 64"
    words += f" --batches 1 -m 16 --patience 0.5 --json --threads {threads}"
    report = json.loads(output([mqt, "bench", *words.split()], MQT_CPU=isa))
    assert report["processor"] == {"instruction_set": isa, "threads": threads}, report["processor"]
    note(figures, f"decode, mqt {isa}", report["decode"][0]["tokens_per_second"])
    note(figures, f"prefill, mqt {isa}", report["prefill"][0]["tokens_per_second"])
    note(figures, f"tower, mqt {isa}", report["vision"]["ms"])


def llama(figures: Figures, build: str, threads: int, model: Path, name: str) -> None:
    """The same two by llama-bench: 64 tokens from nothing, 32 behind a context of 100."""
    bench = [f"{build}/bin/llama-bench", "-m", str(model), "-t", str(threads), "-o", "json", "-r", "5"]
    prefill = json.loads(output([*bench, "-p", "64", "-n", "0"]))[0]["samples_ts"]
    decode = json.loads(output([*bench, "-p", "0", "-n", "32", "-d", "100"]))[0]["samples_ts"]
    note(figures, f"prefill, {name}", statistics.median(prefill))
    note(figures, f"decode, {name}", statistics.median(decode))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mqt", required=True)
    parser.add_argument("--llama", required=True)
    parser.add_argument("--avx2")
    parser.add_argument("--models", required=True, type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--isas", default="avx512,avx2,plain")
    args = parser.parse_args()
    figures: Figures = {}
    for round_ in range(args.rounds):
        print(f"round {round_ + 1} of {args.rounds}", file=sys.stderr)
        for isa in args.isas.split(","):
            ours(figures, args.mqt, args.threads, isa, "fast")
        for kind in TYPES:
            model = args.models / f"llama-200m.{kind}.gguf"
            llama(figures, args.llama, args.threads, model, f"llama.cpp {kind}")
            if args.avx2:
                llama(figures, args.avx2, args.threads, model, f"llama.cpp {kind} avx2")
        for kind in ["f32", "bf16"]:
            ms = float(output([sys.executable, str(HERE / "tower.py"), str(args.threads), kind]))
            note(figures, f"tower, PyTorch {kind}", ms)
    print("| what | median | from | to |\n|---|---|---|---|")
    for name in sorted(figures):
        values = figures[name]
        print(f"| {name} | {statistics.median(values):.4g} | {min(values):.4g} | {max(values):.4g} |")


if __name__ == "__main__":
    main()
