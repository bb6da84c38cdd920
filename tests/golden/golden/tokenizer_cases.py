"""tests/golden/tokenizer/: texts and their ids, for the small vocabulary trained here and for LLaMA's."""

import base64
import json
import os
import random
import re

import sentencepiece as spm
from sentencepiece import sentencepiece_model_pb2 as spm_pb
from tokenizers import Tokenizer

from . import text
from .text import SPACE, SYSTEM

HAND = [
    "", " ", "  ", "   ", "        ", "\n", "\n\n", "\r\n", "\t", " \n ", "a", " a", "a ", "  a  b   c    d",
    "What is this?", " What is this?", "What is this? ", "The assistant is helpful.", "USER: hi ASSISTANT:",
    SYSTEM, SYSTEM + " USER: ", "\nWhat is unusual about this image? ASSISTANT:",
    "</s>", "<s>", "<unk>", "a</s>b", "<s></s>", "</s> USER:", "<image>", "\n<image>", "<0x0A>", "<0xE2><0x96><0x81>",
    "0", "12", "0123456789", "3.14159", "-1e9", "1,234,567", "7 8  9", "2024-05-29T10:00:00Z", "x²+y³=½",
    "UPPER lower MiXeD", "snake_case_name", "camelCaseName", "don't", "l'été", "naïve façade", "Würfel weiß Straße",
    "Où est le carré rouge ?", "étoile", "e\u0301toile (combining)", "ﬁ ligature", "Ⅷ ①", "ＦＵＬＬ ｗｉｄｔｈ",
    "日本語のテキスト", "中文字符", "한국어", "Привет, мир!", "Ελληνικά", "العربية", "עברית", "हिन्दी", "ไทย",
    "🐱", "🐱🐶", "👩‍👩‍👧‍👦", "🇫🇷", "❤️", "👍🏽", "a🐱b", " 🐱 ", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢", "𐍈", "\U0010FFFF",
    "\u0000", "a\u0000b", "\u0001\u0002\u001b[0m", "\u007f", "\u0085", "\u00a0", "a\u00a0b", "\u200b", "\u2028\u2029", "\u3000", "\ufeffBOM",
    "\ufffd", "\uffff", "\u2581", "\u2581\u2581a", "a\u2581b", "a \u2581 b",
    "...", "....", "!?!?", "(a) [b] {c} <d>", "\"quoted\"", "it's 'fine'", "a/b\\c", "C:\\Users\\x", "https://example.org/a?b=c&d=%20",
    "def f(x):\n    return x + 1\n", "{\"key\": [1, 2, null]}", "| a | b |\n|---|---|", "a\tb\tc", "trailing newline\n", "\n leading",
    "aaaaaaaaaaaaaaaa", "abababababab", "theтhe", "s s s s s", "ssssss", "  the", "the  ", "redred", "red  green   blue",
    "the the the", "thethethe", "The circle is red", "circles circle circ cir ci c", "questions question quest",
]  # fmt: skip


def texts():
    r = random.Random(7)
    pools = [
        "abcdefghij klm nop", "the red circle is at left ", "01 29.-", " \n\t a", "éèüßçñ ae", "日本🐱 ab語", SPACE + " ab",
        "What is this? The assistant answers. ",
    ]  # fmt: skip
    out = HAND + ["a" + " " * n + "b" for n in (9, 10, 15, 16, 17, 18, 31, 33, 50)]
    while len(out) < 205:
        pool = pools[len(out) % len(pools)]
        out.append("".join(r.choice(pool) for _ in range(r.randrange(1, 30))))
    return out


def encode_json(tokenizer, string):
    return tokenizer.encode(string, add_special_tokens=False).ids


def write_small(folder, model):
    with open(os.path.join(folder, "tokenizer.model"), "wb") as f:
        f.write(model)
    converted = text.convert(model)
    with open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8") as f:
        f.write(text.compact(converted))

    sp = spm.SentencePieceProcessor(model_proto=model)
    assert sp.vocab_size() == text.VOCAB
    plain = Tokenizer.from_str(json.dumps(converted | {"added_tokens": [], "post_processor": None}))
    rows = []
    for string in texts():
        ids = sp.encode(string)
        assert encode_json(plain, string) == ids, (string, ids, encode_json(plain, string))
        rows.append({"text": string, "ids": ids, "decoded": sp.decode(ids)})

    r = random.Random(8)
    decode = []
    ranges = [(3, 259), (3, 259), (0, text.VOCAB), (259, text.VOCAB)]
    for i in range(40):
        ids = [r.randrange(*ranges[i % 4]) for _ in range(r.randrange(1, 9))]
        decode.append({"ids": ids, "text": sp.decode([i for i in ids if i > 2])})

    special = []
    for legacy in (True, False):
        slow = text.SlowTokenizer(model, legacy)
        for string in ["", "a", " a", "</s>", "</s>USER: hi", "</s> USER: hi", "a</s>b</s>c", "<s>a", " </s>", "a <unk> b", SYSTEM + "</s>\n"]:
            special.append({"text": string, "legacy": legacy, "ids": slow.encode(string)[1:]})

    dump(os.path.join(folder, "vectors.json"), {"encode": rows, "decode": decode, "special": special})


def dump(path, groups):
    """A list per key, one row a line."""
    parts = []
    for key, rows in groups.items():
        lines = ",\n".join("    " + json.dumps(row, ensure_ascii=True) for row in rows)
        parts.append(f'  "{key}": [\n{lines}\n  ]')
    with open(path, "w", encoding="utf-8") as f:
        f.write("{\n" + ",\n".join(parts) + "\n}\n")


# --- LLaMA's vocabulary ---


def read_llama(path):
    """llama-tokenizer.js → the vocabulary by id, the merges as id pairs."""
    with open(path, encoding="utf-8") as f:
        source = f.read()
    vocab = base64.b64decode(re.search(r'llama_vocab_base64 = "([^"]+)"', source)[1]).decode().split("\n")
    raw = base64.b64decode(re.search(r'llama_merges_binary = "([^"]+)"', source)[1])
    ids = [raw[i] | raw[i + 1] << 8 for i in range(0, len(raw), 2)]
    return vocab, list(zip(ids[::2], ids[1::2], strict=True))


LLAVA_SYSTEM = SYSTEM.replace("curious user", "curious human").replace("the user's", "the human's")
PREFIX = [1, 319, 13563, 1546, 263, 12758, 1404, 322, 385, 23116, 21082, 20255, 29889, 450, 20255, 4076, 8444, 29892,
          13173, 29892, 322, 1248, 568, 6089, 304, 278, 1404, 29915, 29879, 5155, 29889, 3148, 1001, 29901, 29871]  # fmt: skip
QUESTION = [29871, 13, 5618, 338, 22910, 1048, 445, 1967, 29973, 319, 1799, 9047, 13566, 29901]
QUESTIONS = [
    "What is unusual about this image?",
    "How many red circles are there?",
    "What is 12 + 345?",
    "Où est le chat 🐱 ?",
    "Describe the picture.\nAnswer the question using a single word or phrase.",
    "A. yes\nB. no\nAnswer with the option's letter from the given choices directly.",
    "请直接回答选项字母。",
    "  two  spaces   and    more ",
]


def write_llama(folder, path):
    vocab, pairs = read_llama(path)
    assert len(vocab) == 32000 and len(pairs) == 61249
    proto = spm_pb.ModelProto()
    for i, piece in enumerate(vocab):
        blank = not piece.strip(SPACE)
        kind = 2 if i == 0 else 3 if i < 3 else 6 if i < 259 else 1
        proto.pieces.add(piece=piece, score=0 if i < 259 else -1e9 if blank else 259 - i, type=kind)
    proto.trainer_spec.model_type = 2
    proto.trainer_spec.byte_fallback = True
    proto.normalizer_spec.name = "identity"
    proto.normalizer_spec.add_dummy_prefix = True
    proto.normalizer_spec.remove_extra_whitespaces = False
    model = proto.SerializeToString()
    recipe = text.merges_of([(p.piece, p.score, p.type) for p in proto.pieces])
    # The same merges; only those of runs of spaces, all of one score, are ordered differently there.
    packaged = [[vocab[a], vocab[b]] for a, b in pairs]
    tail = sum(not (a + b).strip(SPACE) for a, b in recipe)
    assert sorted(recipe) == sorted(packaged) and recipe[:-tail] == packaged[:-tail]

    rows = []
    for legacy in (True, False):
        slow = text.SlowTokenizer(model, legacy)
        for template, system in (("vicuna_v1", SYSTEM), ("llava_v1", LLAVA_SYSTEM)):
            for i, question in enumerate(QUESTIONS):
                for turns in ([(question, None)], [(question, "A cat."), ("Why?", None)])[: 1 if i else 2]:
                    prompt = text.vicuna_v1(turns).replace(SYSTEM, system)
                    ids = text.prompt_ids(slow, prompt)
                    rows.append({"template": template, "legacy": legacy, "turns": turns, "prompt": prompt, "ids": ids})
    # The published facts, see README.md.
    first = rows[0]["ids"]
    assert first == PREFIX + [text.IMAGE] + QUESTION and len(first) - 1 == 49, (first, len(first))
    for row in rows:
        if row["template"] == "llava_v1":
            assert row["ids"][:35] == [5199 if i == 1404 else i for i in PREFIX]
        if len(row["turns"]) == 2:
            after = row["ids"][row["ids"].index(2) + 1 :]
            assert after[:3] == [3148, 1001, 29901] if row["legacy"] else after[:2] == [11889, 29901], after

    # Every piece that is part of one of these texts can matter to it; no other can.
    chunks = {SPACE + c.replace(" ", SPACE) for row in rows for c in re.split("<image>|</s>", row["prompt"])}
    parts = {c[i:j] for c in chunks for i in range(len(c)) for j in range(i + 1, min(len(c), i + 48) + 1)}
    keep = {piece: i for i, piece in enumerate(vocab) if i < 259 or piece in parts}
    merges = [[a, b] for a, b in recipe if a in keep and b in keep and a + b in keep]
    reduced = text.tokenizer_json(keep, merges)
    plain = Tokenizer.from_str(json.dumps(reduced | {"added_tokens": [], "post_processor": None}))
    for row in rows:
        if row["legacy"]:
            ids = [text.BOS]
            for part in re.split("(<image>|</s>)", row["prompt"]):
                ids += [text.IMAGE] if part == "<image>" else [text.EOS] if part == "</s>" else encode_json(plain, part)
            assert ids == row["ids"], row["prompt"]
    with open(os.path.join(folder, "llama_reduced.json"), "w", encoding="utf-8") as f:
        f.write(text.compact(reduced))
    dump(os.path.join(folder, "llama_vectors.json"), {"prompts": rows})


def write(root, model, llama):
    folder = os.path.join(root, "tokenizer")
    os.makedirs(folder, exist_ok=True)
    write_small(folder, model)
    if llama:
        write_llama(folder, llama)
