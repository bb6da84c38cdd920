"""Measures a checkpoint through `mqt` itself and writes the results into training/README.md.

  python evaluate.py CHECKPOINT WORK --mqt ../target/release/mqt [--run RUN]    everything below, then the report
  python evaluate.py --sample ../models/toybox/heldout                          the shipped sample (200 questions)

In WORK, made once and kept: `heldout` (5,000 questions in phrasings and over scenes that training never sees),
`composed` (200 scenes put together as on the page) and `user` (ten pictures made by hand). `mqt eval` answers them with
every m and in every format; it resumes, so the command can be repeated. `--limit` asks fewer held-out questions of f32 and q4.
The report is the part of README.md between its two marks, accuracy.svg, failures.jpg and user.jpg.
"""

import argparse
import json
import os
import random
import re
import shutil
import subprocess
from collections import Counter, defaultdict

from PIL import Image, ImageDraw

import people
from language import LADDER
from questions import KINDS

HERE = os.path.dirname(os.path.abspath(__file__))
FORMATS = ["f32", "q8", "q4"]
ASKED = [k for k in KINDS if k != "follow"]
# The 11-benchmark average of MQT-LLaVA's paper (arXiv 2405.19315), read off its figure.
PAPER = {2: 49.0, 4: 50.8, 8: 53.3, 16: 56.1, 36: 57.4, 64: 58.3, 144: 58.9, 256: 59.4}


def make_sets(work):
    """The question sets that are not there yet."""
    for name, make in (("heldout", people.held_out_set), ("composed", people.composed_set), ("user", user_set)):
        if not os.path.exists(f"{work}/{name}/questions.jsonl"):
            make(f"{work}/{name}")


def user_set(folder):
    os.makedirs(folder, exist_ok=True)
    lines = []
    for i, (image, asked) in enumerate(people.user_pictures()):
        image.save(f"{folder}/{i}.png", optimize=True)
        lines += [{"question_id": len(lines) + j, "image": f"{i}.png", "text": q, "answer": a, "kind": "user"} for j, (q, a) in enumerate(asked)]
    with open(f"{folder}/questions.jsonl", "w") as f:
        f.writelines(json.dumps(line) + "\n" for line in lines)


def read_lines(path):
    with open(path) as f:
        return [json.loads(line) for line in f if line.strip()]


def ask(mqt, checkpoint, work, name, weights, tokens, limit=None):
    """{(question_id, m): answer} of `mqt eval`, which goes on where it stopped."""
    folder, questions = f"{work}/{name}", f"{work}/{name}/questions.jsonl"
    if limit:
        questions = f"{folder}/first-{limit}.jsonl"
        with open(questions, "w") as f:
            f.writelines(json.dumps(line) + "\n" for line in read_lines(f"{folder}/questions.jsonl")[:limit])
    out = f"{work}/answers-{name}-{weights}.jsonl"
    subprocess.run([mqt, "eval", questions, "--images", folder, "--model", checkpoint, "--weights", weights,
                    "--tokens", ",".join(map(str, tokens)), "--adapter", "cpu", "-o", out], check=True, stdout=subprocess.DEVNULL)
    return {(line["question_id"], line["metadata"]["image_tokens"]): line["text"] for line in read_lines(out)}


def talk(mqt, checkpoint, work):
    """[(turn, line, answer), ...]: all questions about a composed scene asked in one conversation of `mqt chat`, in their order."""
    lines, out = defaultdict(list), []
    for line in read_lines(f"{work}/composed/questions.jsonl"):
        lines[line["image"]].append(line)
    for image, asked in lines.items():
        said = subprocess.run([mqt, "chat", f"{work}/composed/{image}", "--model", checkpoint, "--weights", "q8", "--adapter", "cpu",
                               "--tokens", str(LADDER[-1]), "--json", "--quiet"], input="".join(line["text"].replace("\n", " ") + "\n" for line in asked),
                              check=True, capture_output=True, text=True).stdout
        out += [(turn, line, json.loads(answer)["answer"]) for turn, (line, answer) in enumerate(zip(asked, said.splitlines(), strict=True), 1)]
    return out


def same(answer, key):
    """Exact match, but for case and the space around: as `mqt eval` scores."""
    return answer.strip().lower() == key.strip().lower()


def shares(lines, answers, m):
    """{kind: % right, "all": of the questions, "mean": of the kinds}."""
    right = defaultdict(list)
    for line in lines:
        right[line["kind"]].append(same(answers[line["question_id"], m], line["answer"]))
    out = {k: 100 * sum(v) / len(v) for k, v in right.items()}
    out["mean"] = sum(out.values()) / len(out)
    out["all"] = 100 * sum(map(sum, right.values())) / len(lines)
    return out


def table(head, rows):
    return "\n".join(["| " + " | ".join(map(str, head)) + " |", "|---" * len(head) + "|"] + ["| " + " | ".join(str(c) for c in row) + " |" for row in rows])


def confusions(lines, answers, m, kinds=3, pairs=6):
    """The worst kinds and what is said instead of what, most frequent first."""
    share = shares(lines, answers, m)
    rows = []
    for kind in sorted(ASKED, key=lambda k: share.get(k, 100))[:kinds]:
        wrong = Counter((line["answer"], answers[line["question_id"], m].strip()) for line in lines
                        if line["kind"] == kind and not same(answers[line["question_id"], m], line["answer"]))
        rows.append((kind, f"{share[kind]:.1f}", ", ".join(f"{want} → {got} ({n})" for (want, got), n in wrong.most_common(pairs))))
    return table(["kind", "right, %", "right answer → said instead (times)"], rows)


def by_length(lines, answers, m):
    """Lists and descriptions by how many things or groups of a kind they name: all right, and the single names that are."""
    named = lambda text: re.split(", | and ", text.strip().lower().removeprefix("a picture of "))
    whole, parts = defaultdict(list), defaultdict(list)
    for line in lines:
        if line["kind"] in ("list", "describe"):
            want, got = named(line["answer"]), named(answers[line["question_id"], m])
            whole[len(want)].append(want == got)
            parts[len(want)] += [True] * (both := sum((Counter(want) & Counter(got)).values())) + [False] * (len(want) - both)
    share = lambda v: f"{100 * sum(v) / len(v):.0f}"
    rows = [("questions", *(len(whole[n]) for n in sorted(whole))), ("all right, %", *(share(whole[n]) for n in sorted(whole))),
            ("names right, %", *(share(parts[n]) for n in sorted(whole)))]
    return table(["things or groups", *sorted(whole)], rows)


def plot(curves, path):
    """Accuracy against m, beside the paper's own curve; both axes as the paper has them."""
    import matplotlib
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "toybox"
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(figsize=(7, 4))
    for name, curve in curves.items():
        axes.plot(list(curve), list(curve.values()), marker="o", label=name)
    axes.plot(list(PAPER), list(PAPER.values()), marker="s", linestyle="--", color="grey", label="MQT-LLaVA-7b, average of 11 benchmarks (paper)")
    axes.set(xscale="log", xlabel="image tokens m", ylabel="exact match, %", xticks=sorted({*LADDER, *PAPER}), ylim=(0, 100))
    axes.get_xaxis().set_major_formatter(matplotlib.ticker.ScalarFormatter())
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def sheet(items, path, side=230, columns=5):
    """Pictures with their captions, in one small file."""
    rows = -(-len(items) // columns)
    out = Image.new("RGB", (columns * (side + 10), rows * (side + 50)), "white")
    draw = ImageDraw.Draw(out)
    for i, (picture, caption) in enumerate(items):
        with Image.open(picture) as image:
            image = image.convert("RGB")
            image.thumbnail((side, side))
        x, y = i % columns * (side + 10) + 5, i // columns * (side + 50) + 5
        out.paste(image, (x, y))
        draw.multiline_text((x, y + side + 3), caption, fill="black")
    out.save(path, quality=80)


def short(text, most=38):
    return text if len(text) <= most else text[:most - 1] + "…"


def report(work, answers, talked, top):
    """The text between README.md's marks; writes the pictures beside it."""
    asked = read_lines(f"{work}/heldout/questions.jsonl")
    of = {weights: [line for line in asked if (line["question_id"], top) in answers["heldout", weights]] for weights in FORMATS}
    held = of["q8"]
    composed, user = (read_lines(f"{work}/{name}/questions.jsonl") for name in ("composed", "user"))
    parts = []
    kinds = [k for k in ASKED if any(line["kind"] == k for line in held)]
    for weights in FORMATS:
        rows = [(m, *(f"{share[k]:.1f}" for k in kinds), f"**{share['all']:.1f}**")
                for m in LADDER for share in [shares(of[weights], answers["heldout", weights], m)]]
        parts.append(f"**{weights}, {len(of[weights])} held-out questions**, exact match in %:\n\n" + table(["m", *kinds, "all"], rows))
    rows = [(weights, *(f"{shares(composed, answers['composed', weights], m)['all']:.1f}" for m in LADDER)) for weights in FORMATS]
    parts.append(f"**{len(composed)} questions over 200 composed scenes**, exact match in %, by m:\n\n" + table(["weights", *LADDER], rows))
    turns = {turn: [same(answer, line["answer"]) for t, line, answer in talked if t == turn] for turn in sorted({t for t, _, _ in talked})}
    parts.append(f"**The same questions, all about a scene in one conversation** (`mqt chat`, q8, m = {top}), exact match in %, by turn:\n\n"
                 + table(["turn", *turns], [("right", *(f"{100 * sum(v) / len(v):.1f}" for v in turns.values()))]))
    plot({f"toybox, {name}, q8": {m: shares(lines, answers[name, "q8"], m)["all"] for m in LADDER}
          for name, lines in (("heldout", held), ("composed", composed))}, f"{HERE}/accuracy.svg")
    parts.append("![accuracy against m](accuracy.svg)")
    parts.append(f"Worst kinds (held-out, q8, m = {top}):\n\n" + confusions(held, answers["heldout", "q8"], top))
    said = answers["heldout", "q8"]
    wrong = [line for line in held if not same(said[line["question_id"], top], line["answer"])]
    random.Random(1).shuffle(wrong)
    sheet([(f"{work}/heldout/{w['image']}", f"{short(w['text'])}\nsaid: {short(said[w['question_id'], top])}\nright: {short(w['answer'])}") for w in wrong[:10]],
          f"{HERE}/failures.jpg")
    parts.append(f"Lists and descriptions by how many things, or groups of the same, there are to name (held-out, q8, m = {top}):\n\n" + by_length(held, said, top))
    parts.append("Ten failures, drawn at random:\n\n![ten failures](failures.jpg)")
    said = answers["user", "q8"]
    sheet([(f"{work}/user/{i}.png", str(i + 1)) for i in range(len(people.USER_PICTURES))], f"{HERE}/user.jpg")
    rows = [(int(line["image"].split(".")[0]) + 1, line["text"], said[line["question_id"], top].strip(),
             "" if same(said[line["question_id"], top], line["answer"]) else line["answer"]) for line in user]
    parts.append(f"Ten pictures as people make them (q8, m = {top}):\n\n![ten pictures](user.jpg)\n\n" + table(["picture", "question", "answer", "right would be"], rows))
    return "\n\n".join(parts)


def samples(work, answers, top, folder):
    """models/toybox/samples: pictures to try, each with questions that this checkpoint answers rightly."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    good = [line for line in read_lines(f"{work}/user/questions.jsonl") if same(answers[line["question_id"], top], line["answer"])]
    names = {image: f"toybox-{i + 1}.png" for i, image in enumerate(sorted({line["image"] for line in good}))}
    for image, name in names.items():
        shutil.copy(f"{work}/user/{image}", f"{folder}/{name}")
    with open(f"{folder}/questions.jsonl", "w") as f:
        f.writelines(json.dumps({"image": names[g["image"]], "text": g["text"], "answer": g["answer"]}) + "\n" for g in good)


def learning(run):
    """The language stage's diary as a table: questions seen and accuracy by kind in unseen phrasings."""
    lines = [line for line in read_lines(f"{run}/log.jsonl") if line["stage"] == "language" and "step" in line]
    step = max(1, len(lines) // 12)
    key = next(k for k in lines[0] if k.startswith("m") and k[1:].isdigit())
    rows = [(f"{line['questions'] / 1e6:.2f}", line["minutes"], line["loss"], *(f"{100 * line[key][k]:.0f}" for k in [*KINDS, "all"])) for line in lines[::step]]
    return f"While training ({key[1:]} tokens, held-out scenes and phrasings, %):\n\n" + table(["questions, millions", "minutes", "loss", *KINDS, "all"], rows)


def replace(text, mark):
    """Puts `text` between README.md's <!-- mark --> and <!-- /mark -->."""
    with open(f"{HERE}/README.md") as f:
        page = f.read()
    if f"<!-- {mark} -->" not in page:
        raise SystemExit(f"README.md has no <!-- {mark} -->")
    page = re.sub(rf"(<!-- {mark} -->\n).*?(<!-- /{mark} -->)", lambda m: m[1] + text + "\n" + m[2], page, flags=re.S)
    with open(f"{HERE}/README.md", "w") as f:
        f.write(page)


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("checkpoint", nargs="?")
    args.add_argument("work", nargs="?", help="folder for question sets and answers")
    args.add_argument("--mqt", default=f"{HERE}/../target/release/mqt")
    args.add_argument("--run", help="training's folder: adds the table of its diary")
    args.add_argument("--limit", type=int, help="held-out questions to ask of f32 and q4 (default: all 5,000, as of q8)")
    args.add_argument("--sample", help="write the shipped sample there, and nothing else")
    args.add_argument("--samples", help="folder for the pictures made by hand with the questions that are answered rightly (q8, all tokens)")
    args = args.parse_args()
    if args.sample:
        print(len(people.sample_set(args.sample)), "questions in", args.sample)
        return
    if not args.checkpoint or not args.work:
        raise SystemExit("CHECKPOINT and WORK are needed; see --help")
    make_sets(args.work)
    answers = {(name, weights): ask(args.mqt, args.checkpoint, args.work, name, weights, LADDER, args.limit if name == "heldout" and weights != "q8" else None)
               for name in ("heldout", "composed", "user") for weights in FORMATS}
    replace(report(args.work, answers, talk(args.mqt, args.checkpoint, args.work), LADDER[-1]), "report")
    if args.samples:
        samples(args.work, answers["user", "q8"], LADDER[-1], args.samples)
    if args.run:
        replace(learning(args.run), "learning")


if __name__ == "__main__":
    main()
