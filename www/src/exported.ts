// The conversation as a file: Markdown for people, JSON for programs.

import { type Answer, programRecord, shown } from "mqt-web";
import { type Picture, page } from "./actions";
import { type Card, UNSURE, cards } from "./card";
import { h } from "./dom";
import { remark } from "./notices";
import { exported as words } from "./words-later";

interface Said {
  answer: Answer;
  pictures: Picture[];
  comparison: Card["comparison"];
  isDraft: boolean;
  /** The first of another conversation. */
  begins: boolean;
}

/** The answers on the page, those of comparisons included, and what they are about. */
function answers(): Said[] {
  // Each line that says that a conversation begins, and the first answer below it.
  const firsts = new Set<Element | null>();
  for (const line of document.querySelectorAll("#answers > .divider")) {
    let next = line.nextElementSibling;
    while (next && !next.matches(".answer, .draft, .comparison")) next = next.nextElementSibling;
    firsts.add(next);
  }
  return cards.all.flatMap(({ answer, pictures, comparison, element }) => {
    const isDraft = element.classList.contains("is-draft");
    const begins = firsts.has(element.closest("#answers > *"));
    return answer ? [{ answer, pictures, comparison, isDraft, begins }] : [];
  });
}

const names = (pictures: Picture[]) => pictures.map(({ name }) => shown(name, 100));

function markdown(): string {
  const said = answers();
  const all = new Set(said.flatMap(({ pictures }) => names(pictures)));
  let about = [...all];
  const lines = [words.title(about), ""];
  let n = 0;
  for (const [i, { answer: a, pictures, comparison, isDraft, begins }] of said.entries()) {
    const own = names(pictures);
    const isFirst = begins && (!comparison || comparison.columns[0]?.answer === a);
    if (isFirst) lines.push("---", "");
    // Which pictures, whenever they are not those of the answer before.
    if (own.join("\n") !== about.join("\n") || (i === 0 && own.length > 1))
      lines.push(words.pictures(own), "");
    about = own;
    if (comparison) {
      // One table for all of its columns.
      if (comparison.columns[0]?.answer === a)
        lines.push(words.compared(++n), "", comparison.markdown(), "");
      continue;
    }
    const sure = a.meanProbability;
    const percent = sure === null ? "" : words.confidence(Math.round(sure * 100), sure < UNSURE);
    // A model's text is indented, so that nothing in it is taken for Markdown.
    const pad = " ".repeat(`${++n}. `.length);
    lines.push(
      words.question(n, shown(a.question)),
      "",
      ...a.answer.split("\n").map(line => `${pad}    ${line}`),
      "",
      pad + words.facts(a.imageTokens, a.images.length, percent, isDraft),
      "",
    );
  }
  return lines.join("\n");
}

/** An answer's record with the pictures' names, as `mqt ask` gives them. */
function named({ answer, pictures }: Said): Record<string, unknown> {
  const images = answer.images.map((image, i) => ({ image: pictures[i]?.name, ...image }));
  const [only] = images.length === 1 ? images : [];
  return programRecord({ ...answer, ...(only && { image: only.image }), images });
}

const json = () =>
  JSON.stringify(
    {
      schema: "mqt.conversation/1",
      pictures: page.pictures.map(({ name, view }) => ({ name, hash: view?.hash ?? null })),
      answers: answers().map(named),
    },
    null,
    2,
  );

/** Saves it through the browser's downloads. */
export function save(as: "markdown" | "json"): void {
  if (answers().length === 0) return remark(words.nothing);
  const [text, type, name] =
    as === "json"
      ? [json(), "application/json", "conversation.json"]
      : [markdown(), "text/markdown", "conversation.md"];
  const url = URL.createObjectURL(new Blob([text], { type }));
  h<HTMLAnchorElement>("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
