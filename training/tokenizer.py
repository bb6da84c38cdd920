"""The toybox tokenizer: a small LLaMA-style SentencePiece BPE, its tokenizer.json twin, and the prompt.

`build(folder)` writes tokenizer.model, tokenizer.json, tokenizer_config.json and special_tokens_map.json and
checks that both forms give the same ids. `Prompt` knows the vicuna_v1 template as token ids.
"""

import io
import json
import os
import random

import sentencepiece as spm

import questions as Q
from scenes import ALSO, COLOUR_NAMES, NAMES, PLURAL, TEXTS, sample_scene

VOCAB = 1536
IMAGE = -200  # stands for the picture in a list of ids
END = 2  # </s>
SYSTEM = ("A chat between a curious user and an artificial intelligence assistant. "
          "The assistant gives helpful, detailed, and polite answers to the user's questions.")
# Everyday words, so that text from outside the toybox still falls into a few pieces per word.
GENERAL = """The quick brown fox jumps over the lazy dog while the cat sleeps on the warm kitchen table.
Please tell me who painted this picture and when it was made, or say that you do not know.
I would like to know whether these two things are the same size or which of them is bigger.
Sorry, there is no such thing in this picture, so I can not answer that question for you.
Hello! Thank you very much; could you help me with another question about it, please?
Yesterday we went to the park with our children, played football and bought some ice cream.
Which word is written on the card? What number comes after seven: eight, nine or ten?
Look at the apple, banana, car, bus, train, boat, house, tree, flower, ball, book, cup and chair.
Between, behind, above, below, under, next to, near, inside, outside, around, in front of.
People often use small computers; some of them write programs for fun and for work every day.
Not all shapes have corners: a hexagon has six sides, an oval has none, an arrow points somewhere.
They were looking for something large, something small, something light and something dark.
Is it larger, smaller, brighter or darker than the other one on the right hand side?
Why does the water freeze in winter? Because it gets cold enough, below zero degrees.
Numbers: 0 1 2 3 4 5 6 7 8 9 10 11 12 15 20 24 32 48 64 100 256 1000; one two three four five.
Names such as John, Mary, Anna, Peter, London, Paris and Berlin begin with a capital letter.
gray grey silver gold cyan magenta turquoise violet lime beige maroon navy teal olive""".split("\n")
CHARACTERS = "".join(chr(i) for i in range(33, 127))


def corpus(seed=3):
    """Lines of text in about the mix the model meets. Quotes show words without a space before them."""
    rng = random.Random(seed)
    lines = [SYSTEM + " USER: ASSISTANT:"] * 300
    for _ in range(2500):
        for _, turns in Q.questions(sample_scene(rng), 8, rng):
            lines.append(" ".join(f'"{q} USER: ASSISTANT: {a}' for q, a in turns).replace("\n", " "))
    # Every name, colour and card word whole: the visual tokens start as these words (words.py).
    words = NAMES + list(PLURAL.values()) + COLOUR_NAMES + TEXTS + [w for also in ALSO.values() for w in also]
    lines += [f"a {w} the {w} {w} and {w}" for w in words] * 10
    lines += (GENERAL + [line.lower() for line in GENERAL] + ['"' + line for line in GENERAL]) * 8
    lines += [" ".join(CHARACTERS)] * 3
    rng.shuffle(lines)
    return lines


def build(folder):
    model = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus()), model_writer=model, vocab_size=VOCAB, model_type="bpe", byte_fallback=True,
        normalization_rule_name="identity", add_dummy_prefix=True, remove_extra_whitespaces=False, split_digits=True,
        allow_whitespace_only_pieces=True, character_coverage=1.0, unk_id=0, bos_id=1, eos_id=2, pad_id=-1,
        num_threads=1, minloglevel=2)
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/tokenizer.model", "wb") as f:
        f.write(model.getvalue())
    sp = spm.SentencePieceProcessor(model_proto=model.getvalue())
    fast = to_fast(sp)
    fast.save(f"{folder}/tokenizer.json")
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<unk>"}

    def write(name, value):
        with open(f"{folder}/{name}", "w") as f:
            json.dump(value, f, indent=2)

    write("special_tokens_map.json", special)
    write("tokenizer_config.json", {
        "tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "add_eos_token": False, "legacy": True,
        "model_max_length": 2048, "padding_side": "right", "clean_up_tokenization_spaces": False, "sp_model_kwargs": {},
        **special})
    strings = [line for line in corpus(9)[:3000]] + GENERAL + ["", " ", "  two  spaces ", "\n", "a\nb", "naïve café 日本 🙂", "tab\there", "x" * 50, "?!..,"]
    for s in strings:
        a, b = sp.encode(s), fast.encode(s, add_special_tokens=False).ids
        assert a == b, (s, a, b)
        assert sp.decode(a) == fast.decode(b) == s, s
    prompt = Prompt(folder)
    for s in strings[:3000]:
        assert prompt.encode("USER: " + s) == sp.encode("USER: " + s), s
    return sp


def to_fast(sp):
    """The same BPE for the `tokenizers` library: merges are all splits of each piece into two pieces, by score."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors
    vocab = {sp.id_to_piece(i): i for i in range(sp.get_piece_size())}
    normal = {p: i for p, i in vocab.items() if not (sp.is_byte(i) or sp.is_control(i) or sp.is_unknown(i))}
    merges = []
    for piece, i in normal.items():
        pairs = [(piece[:k], piece[k:]) for k in range(1, len(piece)) if piece[:k] in normal and piece[k:] in normal]
        merges += [(-sp.get_score(i), pair) for pair in sorted(pairs, key=lambda p: (vocab[p[0]], vocab[p[1]]))]
    merges = [pair for _, pair in sorted(merges, key=lambda x: x[0])]
    fast = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    fast.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    fast.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    fast.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
    fast.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in ("<unk>", "<s>", "</s>")])
    return fast


class Prompt:
    """vicuna_v1 as ids. Each chunk is tokenised on its own, so the one after the picture starts with "▁"."""

    def __init__(self, folder):
        self.sp = spm.SentencePieceProcessor(model_file=f"{folder}/tokenizer.model")
        self.prefix = [1] + self.sp.encode(SYSTEM + " USER: ")
        self.cache = {}

    def encode(self, text):
        """The ids of a chunk. Merges never cross a space, so words are looked up one by one (`build` checks this)."""
        ids = []
        for word in text.split(" "):
            if word not in self.cache:
                if len(self.cache) > 200_000:  # slips of the fingers make ever new words
                    self.cache.clear()
                self.cache[word] = self.sp.encode(word) if word else [self.sp.piece_to_id("▁")]
            ids += self.cache[word]
        return ids

    def word(self, word):
        """The ids of a word without the lone space piece that comes before a digit."""
        space = self.sp.piece_to_id("▁")
        return [i for i in self.encode(word) if i != space]

    def turns(self, turns):
        """[(question, answer), ...] -> (ids after the picture, 1 where an id is to be learned: answers and </s>).

        After </s> the next turn starts with the dummy space again (tokenizer_config says legacy)."""
        ids, learn = [], []
        for i, (question, answer) in enumerate(turns):
            q = self.encode(f"\n{question} ASSISTANT:" if i == 0 else f"USER: {question} ASSISTANT:")
            a = self.encode(answer) + [END]
            ids += q + a
            learn += [0] * len(q) + [1] * len(a)
        return ids, learn

    def prompt(self, question):
        """The whole first prompt, with IMAGE where the picture goes."""
        return self.prefix + [IMAGE] + self.encode(f"\n{question} ASSISTANT:")

    def decode(self, ids):
        return self.sp.decode([i for i in ids if i > 2]).strip()


if __name__ == "__main__":
    import sys
    build(sys.argv[1])
    p = Prompt(sys.argv[1])
    print(p.sp.get_piece_size(), len(p.prefix), [p.sp.id_to_piece(i) for i in p.prefix])
    for text in ("What colour is the red circle?", "how many purple triangles do you see", "Where is the orange thing in the picture?", "who painted this?"):
        print([p.sp.id_to_piece(i) for i in p.turns([(text, "top left"), (text, "a blue star")])[0]])
