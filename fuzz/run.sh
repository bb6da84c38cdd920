#!/bin/sh
# fuzz/run.sh TARGET SECONDS: builds the targets with coverage instrumentation on stable Rust, then runs one on the repository's
# own files and what earlier runs found (corpus/TARGET). A finding is in artifacts/TARGET. `fuzz/run.sh build` only builds.
set -e
cd "$(dirname "$0")"
host=$(rustc -vV | sed -n 's/^host: //p')
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
-Ccodegen-units=1"
cargo build --release --quiet --target "$host" --bins
[ "$1" = build ] && exit
golden=../tests/golden
case $1 in
    safetensors) seeds="$golden/bicubic.safetensors $golden/a-f32-tower/checkpoint/*.safetensors" ;;
    manifest) seeds=../models/toybox/manifest.json ;;
    torch) seeds="$golden/e-llava-bins/checkpoint/*.bin $golden/e-llava-bins/checkpoint/openai/clip-40/*.bin" ;;
    picture) seeds="$golden/pillow/*.* $golden/pictures/* $golden/field/*.jpg $golden/field/*.png $golden/field/*.gif $golden/field/*.webp $golden/field/*.bmp" ;;
    tokenizer) seeds=$golden/tokenizer/tokenizer.model ;;
    tokenizer_json) seeds="$golden/tokenizer/llama_reduced.json tokenizers/*.json" ;;
    gguf) seeds="../tests/gguf/*.gguf" ;;
    *) echo "targets: safetensors manifest torch picture tokenizer tokenizer_json gguf" >&2; exit 2 ;;
esac
mkdir -p "corpus/$1" "seeds/$1" "artifacts/$1"
cp $seeds "seeds/$1"
[ -d /dev/shm ] && export TMPDIR=/dev/shm
exec "target/$host/release/$1" -max_total_time="$2" -rss_limit_mb=2048 -timeout=20 -print_final_stats=1 \
    -artifact_prefix="artifacts/$1/" "corpus/$1" "seeds/$1"
