//! Damaged and hostile files, and sound ones that cannot be honoured: each in one sentence, exit
//! code 3.

use crate::draft::{BOOL, Draft, F32, LIST, TEXT, U32, case, text};
use mqt::internals::weights::gguf::{Source, on_disk, open};
use mqt::model::Weights;
use pollster::block_on;
use std::path::Path;

const MODEL: &str = "q4_0.gguf";
const MMPROJ: &str = "q4_0-mmproj.gguf";

fn source(path: &Path) -> Source {
    on_disk(path).unwrap()
}

/// What is said of a model made of these bytes, or of an mmproj.
fn said(name: &str, bytes: &[u8]) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let (model, mmproj) = match name {
        MODEL => (source(&path), source(&case(MMPROJ))),
        _ => (source(&case(MODEL)), source(&path)),
    };
    let error = block_on(open(model, mmproj, Weights::F16.into())).err()?;
    let sentence = error.to_string();
    assert_eq!(error.exit_code(), 3, "{sentence}");
    assert!(!sentence.contains('\n') && sentence.len() < 1500, "{sentence}");
    Some(sentence)
}

#[track_caller]
fn refused(name: &str, bytes: &[u8], hint: &str) {
    let sentence = said(name, bytes).unwrap_or_else(|| panic!("accepted; expected {hint:?}"));
    assert!(sentence.contains(hint), "{hint:?} is not in {sentence:?}");
}

#[track_caller]
fn model(change: impl Fn(&mut Draft), hint: &str) {
    let mut draft = Draft::of(MODEL);
    change(&mut draft);
    refused(MODEL, &draft.bytes(), hint);
}

#[track_caller]
fn mmproj(change: impl Fn(&mut Draft), hint: &str) {
    let mut draft = Draft::of(MMPROJ);
    change(&mut draft);
    refused(MMPROJ, &draft.bytes(), hint);
}

fn word(n: u32) -> [u8; 4] {
    n.to_le_bytes()
}

#[test]
fn a_file_put_together_again_is_accepted() {
    assert_eq!(said(MODEL, &Draft::of(MODEL).bytes()), None);
    assert_eq!(said(MMPROJ, &Draft::of(MMPROJ).bytes()), None);
}

#[test]
fn files_cut_anywhere_are_refused() {
    let draft = Draft::of(MODEL);
    let (bytes, (header, table)) = (draft.bytes(), draft.header());
    for end in [4, 5, 8, 12, 16, 23] {
        refused(MODEL, &bytes[..end], "it ends in its first bytes");
    }
    refused(MODEL, &bytes[..24], "key-values in a file of 24 bytes");
    for end in [table / 3, table / 2, table - 1] {
        refused(MODEL, &bytes[..end], "truncated");
    }
    for end in [table, table + 9, header.len() - 1] {
        refused(MODEL, &bytes[..end], "truncated");
    }
    for end in [header.len(), bytes.len() / 2, bytes.len() - 32] {
        refused(MODEL, &bytes[..end], "it is truncated or damaged");
    }
    // Every place of the first part, and the sections' ends with it.
    for end in (4..2000).step_by(7) {
        refused(MODEL, &bytes[..end], "truncated");
    }
}

#[test]
fn counts_and_lengths_that_no_file_holds_are_refused() {
    let bytes = Draft::of(MODEL).bytes();
    let with = |at: usize, n: u64| {
        let mut bytes = bytes.clone();
        bytes[at..at + 8].copy_from_slice(&n.to_le_bytes());
        bytes
    };
    for n in [1 << 63, u64::MAX, 1 << 40, 100_000] {
        refused(MODEL, &with(8, n), &format!("it claims {n} tensors"));
        refused(MODEL, &with(16, n), &format!("it claims {n} key-values"));
        refused(MODEL, &with(24, n), &format!("it claims a text of {n} bytes"));
    }
    let list = |kind: u32, n: u64| [&kind.to_le_bytes()[..], &n.to_le_bytes()].concat();
    for kind in [U32, F32, TEXT, BOOL, 12] {
        model(|d| d.set("general.tags", LIST, list(kind, 1 << 62)), "entries of");
    }
    model(|d| d.set("general.name", TEXT, (1u64 << 60).to_le_bytes()), "claims a text of");
    model(|d| d.set("general.tags", LIST, list(LIST, 3)), "a list of lists");
    model(|d| d.set("general.tags", LIST, list(99, 0)), "type 99");
    model(|d| d.set("general.tags", 13, []), "type 13");
    model(|d| d.set("general.odd", BOOL, [2]), "not true or false");
}

#[test]
fn other_formats_are_called_by_their_names() {
    for (version, hint) in
        [(0, "version 0"), (1, "version 1"), (4, "version 4"), (3 << 24, "big-endian")]
    {
        model(|d| d.version = version, hint);
    }
    assert_eq!(said(MODEL, &Draft { version: 2, ..Draft::of(MODEL) }.bytes()), None);
    model(|d| d.set("general.alignment", U32, word(0)), "not a power of two");
    model(|d| d.set("general.alignment", U32, word(3)), "not a power of two");
    model(|d| d.set("general.alignment", TEXT, text("32")), "not a power of two");
    model(|d| d.set("general.alignment", U32, word(1 << 31)), "");
    model(|d| d.set("split.count", U32, word(3)), "one of 3 parts of a split file");
    model(|d| d.set("general.type", TEXT, text("adapter")), "general.type is \"adapter\"");
    model(|d| d.set("general.quantization_version", U32, word(1)), "quantization_version is 1");
    model(|d| d.keys.push(d.keys[3].clone()), "twice");
    model(|d| d.keys[3].0 = String::new(), "has no name");
}

#[test]
fn tensors_that_do_not_lie_in_the_file_are_refused() {
    const Q: &str = "blk.0.attn_q.weight";
    model(|d| d.row(Q).offset += 8, "not a multiple of 32");
    model(|d| d.row(Q).offset = 0, "overlap");
    model(|d| d.row(Q).offset = 1 << 40, "truncated or damaged");
    model(|d| d.row(Q).offset = u64::MAX - 31, "truncated or damaged");
    model(|d| d.row(Q).dims = vec![], "0 dimensions");
    model(|d| d.row(Q).dims = vec![32, 8, 2, 1, 2], "5 dimensions");
    model(|d| d.row(Q).dims = vec![32, 0], "which no tensor has");
    model(|d| d.row(Q).dims = vec![1 << 63, 1 << 63], "which no tensor has");
    model(|d| d.row(Q).dims = vec![1 << 32, 1 << 31], "truncated or damaged");
    model(|d| d.row(Q).dims = vec![48, 32], "no whole blocks of 32");
    model(|d| d.row(Q).kind = 255, "type 255, which GGUF does not know");
    model(|d| d.row(Q).kind = 4, "type 4, which GGUF does not know");
    model(|d| d.row(Q).name = "blk.0.attn_k.weight".into(), "twice");
    model(|d| d.row(Q).dims = vec![32, 16], "tensor blk.0.attn_q.weight: expected shape [32, 32]");
    model(|d| d.row(Q).dims = vec![32, 24], "not whole heads of 16");
    model(|d| d.row("output_norm.weight").dims = vec![16], "expected shape [32]");
    model(|d| d.row("output_norm.weight").kind = 2, "is a vector in Q4_0");
    mmproj(|d| d.row("v.patch_embd.weight").dims = vec![7, 7, 96], "v.patch_embd.weight");
}

#[test]
fn types_that_are_not_read_are_named() {
    for (kind, name) in [(20, "IQ4_NL"), (24, "I8")] {
        let hint = format!("\"blk.0.attn_q.weight\" is stored as {name}, which");
        let change = |d: &mut Draft| {
            d.row("blk.0.attn_q.weight").kind = kind;
            d.row("blk.0.attn_q.weight").dims = vec![32, 16];
        };
        model(change, &hint);
    }
    // As wide as its blocks: a row of the decoder's is not, so it is refused before.
    model(
        |d| {
            *d.row("blk.0.attn_q.weight") = crate::draft::Row {
                dims: vec![256, 1],
                kind: 23,
                ..d.row("blk.0.attn_q.weight").clone()
            };
        },
        "is stored as IQ4_XS, which this version does not read; it reads F32, F16, Q4_0",
    );
}

#[test]
fn tensors_that_are_missing_or_unknown_are_named_as_the_file_names_them() {
    let drop = |d: &mut Draft, name: &str| d.rows.retain(|row| row.name != name);
    for name in ["token_embd.weight", "blk.1.ffn_down.weight", "output_norm.weight"] {
        model(|d| drop(d, name), name);
    }
    for name in ["v.patch_embd.weight", "v.blk.0.attn_out.bias", "mm.0.weight", "v.pre_ln.bias"] {
        mmproj(|d| drop(d, name), name);
    }
    for name in ["blk.0.attn_qkv.weight", "blk.0.ffn_gate_exps.weight", "blk.7.attn_q.weight"] {
        model(|d| d.row("blk.0.attn_q.weight").name = name.into(), name);
    }
    model(|d| d.row("output_norm.weight").name = "rope_freqs.weight".into(), "Llama 3.1");
    mmproj(|d| d.row("v.class_embd").name = "model.image_newline".into(), "LLaVA-1.6");
    mmproj(|d| d.row("mm.2.weight").dims = vec![32, 16], "does not belong to");
    mmproj(|d| d.row("mm.2.weight").name = "mm.3.weight".into(), "mm.3.weight");
}

#[test]
fn keys_that_change_the_answer_are_refused_by_name() {
    for (key, kind, value, hint) in [
        ("general.architecture", TEXT, text("qwen3"), "architecture qwen3 is not supported yet"),
        ("general.architecture", TEXT, text("qwen2"), "qwen2.embedding_length"),
        ("general.architecture", TEXT, text("clip"), "give it as the mmproj"),
        ("general.architecture", U32, word(1).to_vec(), "not a text"),
        ("llama.expert_count", U32, word(8).to_vec(), "llama.expert_count 8 is not supported"),
        ("llama.rope.dimension_count", U32, word(8).to_vec(), "llama.rope.dimension_count is 8"),
        ("llama.attention.value_length", U32, word(8).to_vec(), "value_length is 8"),
        ("llama.rope.scaling.type", TEXT, text("yarn"), "\"yarn\" is not supported"),
        ("llama.rope.scaling.yarn_log_multiplier", F32, 1f32.to_le_bytes().to_vec(), "not known"),
        ("llama.attention.causal", BOOL, vec![0], "\"llama.attention.causal\" is not known"),
        ("llama.embedding_length", U32, word(33).to_vec(), "does not divide into 2 heads"),
        ("llama.embedding_length", U32, word(0).to_vec(), "a head's width 0"),
        (
            "llama.attention.head_count",
            LIST,
            [&word(U32)[..], &2u64.to_le_bytes(), &word(2), &word(2)].concat(),
            "not a whole number",
        ),
        ("llama.vocab_size", U32, word(301).to_vec(), "llama.vocab_size is 301"),
        ("llama.block_count", U32, word(u32::MAX).to_vec(), "llama.block_count is 4294967295"),
        ("tokenizer.ggml.model", TEXT, text("bert"), "\"bert\" is not supported yet"),
        (
            "tokenizer.ggml.model",
            TEXT,
            text("gpt2"),
            "tokenizer.ggml.pre \"default\" is not supported yet",
        ),
        ("tokenizer.ggml.add_bos_token", BOOL, vec![0], "add_bos_token false"),
        ("tokenizer.ggml.add_eos_token", BOOL, vec![1], "add_eos_token true"),
        ("tokenizer.ggml.eos_token_id", U32, word(300).to_vec(), "eos_token_id is 300"),
        (
            "tokenizer.ggml.scores",
            LIST,
            [&word(F32)[..], &0u64.to_le_bytes()].concat(),
            "0 entries",
        ),
        (
            "tokenizer.ggml.tokens",
            LIST,
            [&word(TEXT)[..], &0u64.to_le_bytes()].concat(),
            "no tokenizer",
        ),
    ] {
        model(|d| d.set(key, kind, &value), hint);
    }
    for (key, kind, value, hint) in [
        ("general.architecture", TEXT, text("llama"), "an mmproj is the vision half"),
        ("clip.projector_type", TEXT, text("ldp"), "\"ldp\" is not supported yet"),
        ("clip.projector_type", TEXT, text("linear"), "does not fit a projector of 2"),
        ("clip.has_llava_projector", BOOL, vec![0], "has_llava_projector false"),
        ("clip.use_silu", BOOL, vec![1], "clip.use_silu true"),
        ("clip.vision.block_count", U32, word(3).to_vec(), "v.blk.2."),
        (
            "clip.vision.feature_layer",
            LIST,
            [&word(U32)[..], &2u64.to_le_bytes(), &word(1), &word(2)].concat(),
            "names 2 layers",
        ),
        (
            "clip.vision.feature_layer",
            LIST,
            [&word(U32)[..], &1u64.to_le_bytes(), &word(9)].concat(),
            "vision layer 9 of 2",
        ),
        ("clip.vision.image_size", U32, word(28).to_vec(), "v.position_embd.weight"),
        (
            "clip.vision.image_mean",
            LIST,
            [&word(F32)[..], &1u64.to_le_bytes(), &word(0)].concat(),
            "not three",
        ),
        ("clip.vision.mm_patch_merge_type", TEXT, text("spatial_unpad"), "several squares"),
        ("clip.vision.image_aspect_ratio", TEXT, text("anyres"), "anyres"),
        ("clip.vision.window_size", U32, word(7).to_vec(), "is not known"),
    ] {
        mmproj(|d| d.set(key, kind, &value), hint);
    }
}

#[test]
fn missing_keys_are_named() {
    for key in [
        "general.architecture",
        "llama.block_count",
        "llama.context_length",
        "tokenizer.ggml.model",
        "tokenizer.ggml.token_type",
    ] {
        model(|d| d.keys.retain(|(k, ..)| k != key), key);
    }
    mmproj(|d| d.keys.retain(|(k, ..)| k != "clip.vision.patch_size"), "clip.vision.patch_size");
}

/// Whatever byte is wrong, the end is a sentence or a model: never a panic.
#[test]
fn flipped_bytes_end_in_a_sentence_or_a_model() {
    let draft = Draft::of(MMPROJ);
    let (bytes, (header, _)) = (draft.bytes(), draft.header());
    for at in (0..header.len()).step_by(5) {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x81;
        if &bytes[..4] == b"GGUF" {
            let _ = said(MMPROJ, &bytes);
        }
    }
}
