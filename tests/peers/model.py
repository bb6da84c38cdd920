"""A GGUF with random weights of `mqt bench --shape llama-200m`'s decoder, for llama.cpp.

    python model.py llama-200m.f16.gguf
"""

import sys

import gguf
import numpy as np

HIDDEN, FFN, LAYERS, HEADS, VOCAB, POSITIONS = 1024, 2816, 12, 16, 32_000, 2048


def write(path: str) -> None:
    """Matrices in halves, norms in floats, no tokenizer."""
    random = np.random.default_rng(1)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_context_length(POSITIONS)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_vocab_size(VOCAB)
    writer.add_tokenizer_model("no_vocab")

    def matrix(name: str, rows: int, cols: int) -> None:
        values = random.standard_normal((rows, cols), dtype=np.float32) / np.sqrt(cols)
        writer.add_tensor(f"{name}.weight", values.astype(np.float16))

    def norm(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(HIDDEN, np.float32))

    matrix("token_embd", VOCAB, HIDDEN)
    for i in range(LAYERS):
        norm(f"blk.{i}.attn_norm")
        for part in ["q", "k", "v", "output"]:
            matrix(f"blk.{i}.attn_{part}", HIDDEN, HIDDEN)
        norm(f"blk.{i}.ffn_norm")
        matrix(f"blk.{i}.ffn_gate", FFN, HIDDEN)
        matrix(f"blk.{i}.ffn_up", FFN, HIDDEN)
        matrix(f"blk.{i}.ffn_down", HIDDEN, FFN)
    norm("output_norm")
    matrix("output", VOCAB, HIDDEN)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    write(sys.argv[1])
