// The conversation as a file: Markdown for people, JSON for programs.

import { programRecord, shown } from "mqt-web";
import { page } from "./actions";
import { cards } from "./card";
import { h } from "./dom";
import { remark } from "./notices";
import { exported as words } from "./words";

/** The answers on the page, those of comparisons included. */
const answers = () => cards.all.flatMap(({ answer }) => (answer ? [answer] : []));

function markdown(): string {
  const lines = [words.title(shown(page.picture?.name ?? "", 100)), ""];
  for (const [i, a] of answers().entries()) {
    const sure = a.meanProbability;
    const percent = sure === null ? "" : words.confidence(Math.round(sure * 100));
    // A model's text is indented, so that nothing in it is taken for Markdown.
    lines.push(
      words.question(i + 1, shown(a.question)),
      "",
      ...a.answer.split("\n").map(line => `       ${line}`),
      "",
      `   ${words.facts(a.imageTokens, percent)}`,
      "",
    );
  }
  return lines.join("\n");
}

const json = () =>
  JSON.stringify(
    {
      schema: "mqt.conversation/1",
      picture: page.picture
        ? { name: page.picture.name, hash: page.picture.view?.hash ?? null }
        : null,
      answers: answers().map(programRecord),
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
