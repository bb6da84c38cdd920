"""Tokenizers: a small SentencePiece model trained here, the reference's prompt rules, and the tokenizers.json twin."""

import io
import json
import random
import re

import sentencepiece as spm
from sentencepiece import sentencepiece_model_pb2 as spm_pb

SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
IMAGE = -200
BOS, EOS = 1, 2
VOCAB = 700
SPACE = "\u2581"
SPECIALS = ("<unk>", "<s>", "</s>")


# --- the SentencePiece model ---


def corpus():
    """Generated sentences: the prompt's own words often, then shapes, numbers, three languages, runs of spaces."""
    rng = random.Random(20240529)
    colours = "red green blue yellow black white orange purple rouge vert bleu gelb schwarz weiß".split()
    things = "circle square triangle star picture image table cat dog house carré étoile Würfel Stern".split()
    places = "left right above below middle corner gauche droite oben unten".split()
    asks = ["What is", "Where is", "How many", "Which colour is", "Is there", "Describe", "Où est", "Wo ist"]
    out = []
    for i in range(4000):
        c, t, p, a = rng.choice(colours), rng.choice(things), rng.choice(places), rng.choice(asks)
        n = rng.randrange(1000)
        out.append(
            [
                f"{SYSTEM} USER: {a} the {c} {t}? ASSISTANT: The {t} is {c}.",
                f"{a} unusual about this {t}? It has {n} {c} {t}s at the {p}.",
                f"USER: {a} {t} ASSISTANT: {p}, {c} and {n}; not \"{rng.choice(things)}\" (no!)",
                f"{' ' * rng.randrange(1, 9)}{t}{' ' * rng.randrange(1, 6)}{c} = {n} - {n // 7} / {p}:{t}_{c}",
                f"les {t}s {c}s, die {t}e und der {p}: {t} à côté, über, für, déjà {n}%",
            ][i % 5]
        )
    return out


def train():
    """The trained model, as LLaMA's: BPE, byte fallback, identity normaliser, runs of up to 16 spaces, merged last."""
    # LLaMA's order: in this one, and not in every one, merging by rank gives what merging leftmost-on-ties does
    runs = [SPACE * n for n in (2, 4, 8, 5, 16, 6, 12, 13, 10, 14, 3, 9, 7, 11, 15)]
    model = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus()),
        model_writer=model,
        model_type="bpe",
        vocab_size=VOCAB - len(runs),
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",
        add_dummy_prefix=True,
        remove_extra_whitespaces=False,
        character_coverage=0.9995,
        num_threads=1,
        minloglevel=2,
    )
    proto = spm_pb.ModelProto()
    proto.ParseFromString(model.getvalue())
    for k, run in enumerate(runs):
        # at low ids, as LLaMA's: the order of merging is the score's, not the id's
        proto.pieces.insert(259 + 9 * k, spm_pb.ModelProto.SentencePiece(piece=run, type=1))
    for piece in proto.pieces:
        if piece.type == 1 and not piece.piece.strip(SPACE):
            piece.score = -1e9
    proto.trainer_spec.vocab_size = len(proto.pieces)
    return proto.SerializeToString(deterministic=True)


def merges_of(pieces):
    """The BPE merge list of (piece, score, type) rows: by score, then piece, then (left id, right id)."""
    vocab = {piece: i for i, (piece, _, _) in enumerate(pieces)}
    normal = [(score, piece) for piece, score, kind in pieces if kind == 1]
    merges = []
    for score, piece in normal:
        splits = [(piece[:k], piece[k:]) for k in range(1, len(piece))]
        splits = [(a, b) for a, b in splits if a in vocab and b in vocab]
        splits.sort(key=lambda ab: (vocab[ab[0]], vocab[ab[1]]))
        merges += [(score, a, b) for a, b in splits]
    merges.sort(key=lambda m: -m[0])
    return [[a, b] for _, a, b in merges]


def tokenizer_json(vocab, merges):
    """A tokenizers.json of LLaMA's kind, as `transformers` writes it for a legacy LLaMA tokenizer."""
    special = [
        {"id": i, "content": s, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        for i, s in enumerate(SPECIALS)
    ]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special,
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Prepend", "prepend": SPACE},
                {"type": "Replace", "pattern": {"String": " "}, "content": SPACE},
            ],
        },
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [
                {"SpecialToken": {"id": "<s>", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "<s>", "type_id": 1}},
                {"Sequence": {"id": "B", "type_id": 1}},
            ],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [BOS], "tokens": ["<s>"]}},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": "<unk>",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": vocab,
            "merges": merges,
        },
    }


def convert(model):
    """tokenizer.model bytes → tokenizer.json object."""
    proto = spm_pb.ModelProto()
    proto.ParseFromString(model)
    pieces = [(p.piece, p.score, p.type) for p in proto.pieces]
    return tokenizer_json({p: i for i, (p, _, _) in enumerate(pieces)}, merges_of(pieces))


def compact(obj):
    return json.dumps(obj, ensure_ascii=False, separators=(",", ":")) + "\n"


# --- the slow LLaMA tokenizer around it ---


class SlowTokenizer:
    """What the slow LlamaTokenizer does with a SentencePiece model: cut special tokens out, then encode the pieces.

    legacy=True: every segment gets the dummy prefix. legacy=False: only the start of the whole text does.
    """

    def __init__(self, model, legacy):
        proto = spm_pb.ModelProto()
        proto.ParseFromString(model)
        self.legacy = legacy
        proto.normalizer_spec.add_dummy_prefix = legacy
        self.sp = spm.SentencePieceProcessor(model_proto=proto.SerializeToString())
        self.unk = self.sp.encode("<unk>")

    def encode(self, text):
        """Ids with BOS in front."""
        if not self.legacy and text:
            text = SPACE + text.replace(SPACE, " ")
        segments = [s for s in re.split("(" + "|".join(map(re.escape, SPECIALS)) + ")", text) if s]
        if not self.legacy and len(segments) > 1 and segments[0] == SPACE:
            segments = segments[1:]  # the prefix is not put before a special token
        ids = [BOS]
        for segment in segments:
            if segment in SPECIALS:
                ids.append(SPECIALS.index(segment))
            elif self.legacy or segment[0] not in (SPACE, " "):
                ids += self.sp.encode(segment)
            else:
                ids += self.sp.encode("<unk>" + segment)[len(self.unk) :]
        return ids


def vicuna_v1(turns):
    """turns: (question, answer or None) pairs; the first question is about the picture."""
    text = SYSTEM + " "
    for i, (question, answer) in enumerate(turns):
        text += "USER: " + ("<image>\n" if i == 0 else "") + question + " ASSISTANT:"
        if answer is not None:
            text += " " + answer + "</s>"
    return text


def prompt_ids(tokenizer, prompt):
    """tokenizer_image_token: chunks around <image> each encoded with BOS, one BOS kept, joined with -200."""
    chunks = [tokenizer.encode(chunk) for chunk in prompt.split("<image>")]
    ids = list(chunks[0])
    for chunk in chunks[1:]:
        ids += [IMAGE] + chunk[1:]
    return ids
