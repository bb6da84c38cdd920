// One question with several m side by side, and what that says: how few image tokens give the
// answer of many, and how much faster.

import type { Answer, Turn } from "mqt-web";
import { type Picture, page } from "./actions";
import { Card, UNSURE } from "./card";
import { MOST_COLUMNS, choose, inWords, typed } from "./chosen";
import { copy, h, revealTop, seconds } from "./dom";
import { knowsScenesOnly } from "./picture";
import { isBusy } from "./state";
import * as tokens from "./tokens";
import { picture as names, talk as words } from "./words";

/** A smaller gain is not worth a word. */
const WORTH = 1.2;

export class Comparison {
  readonly element: HTMLElement;
  readonly columns: Card[];
  private readonly verdict = h("p.verdict", { "aria-live": "polite" });
  private readonly copyIt = h<HTMLButtonElement>(
    "button",
    { type: "button", disabled: true },
    words.copyTable,
  );

  constructor(
    readonly question: string,
    private readonly several: number[],
    readonly pictures: Picture[],
    readonly turns: Turn[],
    /** How many turns stood above it. */
    readonly above: number,
  ) {
    this.columns = several.map(() => new Card(question, pictures, turns, undefined, true));
    const shown = this.columns.map((card, i) => {
      card.comparison = this;
      card.element.classList.add("column");
      card.element.prepend(h("h3", words.tokens(several[i]!)));
      return card.element;
    });
    this.copyIt.onclick = () => void copy(this.markdown(), this.copyIt);
    this.element = h(
      "section.comparison",
      { "aria-label": words.comparison(question) },
      pictures.length > 1 && h("p.small.quiet", about(pictures.length)),
      this.verdict,
      h("div.columns", ...shown),
      this.form(),
    );
  }

  /** All columns are there. */
  finish(): void {
    this.conclude();
    // What it says stands first.
    revealTop(this.element);
  }

  /** Shows answers that were given earlier. */
  put(answers: Answer[]): void {
    for (const [i, column] of this.columns.entries()) column.put(answers[i]!);
    this.conclude();
  }

  private conclude(): void {
    this.verdict.textContent = verdict(this.answers);
    this.copyIt.disabled = false;
  }

  get answers(): Answer[] {
    return this.columns.flatMap(({ answer }) => (answer ? [answer] : []));
  }

  /** The same as a table. */
  markdown(): string {
    const line = (cells: string[]) => `| ${cells.join(" | ")} |`;
    const rows = this.answers.map(a => [
      String(a.imageTokens),
      a.answer.replace(/\|/g, "\\|").replace(/\s+/g, " "),
      a.meanProbability === null ? "" : `${Math.round(a.meanProbability * 100)} %`,
      seconds(a.timingsMs.prefill),
    ]);
    const head = [line(words.table), line(words.table.map(() => "---"))];
    return [`**${this.question}**`, "", ...head, ...rows.map(line), "", this.verdict.textContent]
      .join("\n")
      .trim();
  }

  /** The same question with other columns. */
  private form(): HTMLElement {
    const field = h<HTMLInputElement>("input", {
      type: "text",
      value: this.several.join(", "),
      inputMode: "numeric",
      "aria-label": words.countsLabel(inWords(tokens.offered())),
    });
    const again = h(
      "span.line",
      h("span.quiet", words.counts),
      field,
      h("button", { type: "submit" }, words.compareAgain),
    );
    const form = h<HTMLFormElement>("form", again, this.copyIt);
    // Pictures that are not there any more cannot be compared again.
    const [first] = this.columns;
    if (first) first.drawn = () => (again.hidden = !first.isAbout());
    field.addEventListener("input", () => field.setCustomValidity(""));
    form.addEventListener("submit", event => {
      event.preventDefault();
      const offer = tokens.offered(); // of the model that is loaded now
      const wanted = typed(field.value, offer);
      field.setCustomValidity(wanted ? "" : words.give(inWords(offer)));
      if (!field.reportValidity() || !wanted || isBusy()) return;
      choose(wanted.slice(0, MOST_COLUMNS));
      void page.compare(this.question, wanted, this.turns);
    });
    return form;
  }
}

const about = (pictures: number) =>
  words.compares(pictures) + (knowsScenesOnly() ? ` ${names.single}` : "");

const plain = (answer: Answer) => answer.answer.trim().toLowerCase();

/** "8 tokens already give the answer of 64, read 2.1 times faster." */
export function verdict(answers: Answer[]): string {
  const last = answers.at(-1);
  if (!last || answers.length < 2) return "";
  const isSure = (answer: Answer) => (answer.meanProbability ?? 1) >= UNSURE;
  // The fewest from which on every answer is that of the most, and as sure.
  let first = answers.length - 1;
  while (
    first > 0 &&
    plain(answers[first - 1]!) === plain(last) &&
    (isSure(answers[first - 1]!) || !isSure(last))
  )
    first--;
  const enough = answers[first]!;
  if (enough === last) {
    const sure = (answer: Answer) => answer.meanProbability ?? 1;
    const isSurest = answers.every(answer => answer === last || sure(answer) < sure(last));
    return isSurest ? words.needsAll(last.imageTokens) : words.differ;
  }
  const gain = last.timingsMs.prefill / Math.max(0.1, enough.timingsMs.prefill);
  const faster = gain >= WORTH ? words.faster(gain.toFixed(gain >= 3 ? 0 : 1)) : "";
  // Fewer that say the same, unsure of it.
  const fewer = answers[first - 1];
  const same = fewer && plain(fewer) === plain(last) ? words.unsureToo(fewer.imageTokens) : "";
  return words.enough(enough.imageTokens, last.imageTokens, faster) + same;
}
