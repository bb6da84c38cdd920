// Questions and answers: streaming text, what each answer took, refine, continue, compare.

import type { Answer, Answering, Turn } from "mqt-web";
import { type Picture, app } from "./app";
import { copy, count, find, h, reveal, seconds } from "./dom";
import { columns, gives } from "./offer";
import { overTokens } from "./plot";
import { settings } from "./settings";
import { isBusy, isOpen, onState } from "./state";
import * as steps from "./steps";
import * as tokens from "./tokens";

const list = () => find("#answers");

/**
 * Below this mean probability of its words an answer with few image tokens is worth asking again.
 */
const UNSURE = 0.85;

/** One answer on the page. */
export class Card {
  readonly element: HTMLElement;
  private readonly text = h("p.text", { "aria-hidden": "true", dir: "auto" });
  private readonly foot = h("footer");
  private streamed = "";
  private spoken = 0;
  answer: Answer | undefined;
  /** What the answer was drawn with. */
  private sampled = settings.sampling();

  /** `turns` are what was said before the question. */
  constructor(
    readonly question: string,
    private readonly picture: Picture,
    readonly turns: Turn[],
    private readonly refines?: Card,
  ) {
    cards.push(this);
    this.element = h(
      "article.answer.running",
      { "aria-label": `Answer to: ${question}` },
      this.text,
      this.foot,
    );
    this.text.append(h("span.caret"));
  }

  async stream(answering: Answering): Promise<void> {
    this.sampled = settings.sampling();
    try {
      for await (const piece of answering) {
        this.streamed += piece;
        steps.end();
        this.text.replaceChildren(this.streamed.trimStart(), h("span.caret"));
        this.speak(false);
        reveal(this.element);
      }
    } catch {
      // `answering.answer` rejects with the same error, and it is dealt with there.
    }
  }

  /** Hands whole sentences to screen readers; single words would drown everything else. */
  private speak(all: boolean): void {
    const rest = this.streamed.slice(this.spoken);
    const end = all
      ? rest.length
      : Math.max(rest.lastIndexOf(". "), rest.lastIndexOf("! "), rest.lastIndexOf("? ")) + 1;
    if (end <= 0) return;
    find("#spoken").append(h("p", rest.slice(0, end).trim()));
    this.spoken += end;
  }

  finish(answer: Answer): void {
    this.answer = answer;
    this.streamed = answer.answer;
    const empty =
      answer.answer === ""
        ? h(
            "i",
            answer.finishReason === "cancelled" ? "(stopped before the first token)" : "(no words)",
          )
        : answer.answer;
    this.text.replaceChildren(
      ...(this.refines?.answer ? marked(this.refines.answer.answer, answer.answer) : [empty]),
    );
    this.text.removeAttribute("aria-hidden");
    this.spoken = Math.min(this.spoken, this.streamed.length);
    this.speak(true);
    this.done(answer.finishReason);
    Object.assign(this.element.dataset, {
      imageTokens: String(answer.imageTokens),
      visionRuns: String(answer.visionRuns),
      tokenIds: answer.tokenIds.join(" "),
    });
    this.drawFoot();
    reveal(this.element);
  }

  fail(error: unknown): void {
    const { code = "internal" } = error as { code?: string };
    if (this.streamed === "")
      this.text.replaceChildren(
        h("i", code === "cancelled" ? "(stopped before the first token)" : "(no answer)"),
      );
    else this.text.querySelector(".caret")?.remove();
    this.text.removeAttribute("aria-hidden");
    this.done(code === "cancelled" ? "cancelled" : code);
    this.element.dataset.imageTokens ??= String(tokens.shown());
    this.element.dataset.visionRuns ??= "0";
    const ask = h(
      "button",
      { type: "button", onclick: () => isOpen() && void app.ask(this.question) },
      "Repeat the question",
    );
    this.foot.replaceChildren(h("div.actions", ask));
  }

  /** One that was not asked any more. */
  skip(): void {
    this.text.replaceChildren(h("i", "(not asked)"));
    this.text.removeAttribute("aria-hidden");
    this.done("cancelled");
  }

  private done(reason: string): void {
    this.element.classList.remove("running");
    this.element.dataset.finishReason = reason;
  }

  private drawFoot(): void {
    const a = this.answer!;
    const auto = a.imageTokensMode === "auto" ? ` (auto: ${a.imageTokensReason})` : "";
    const facts = [
      h("span", { title: `image tokens${auto}` }, `m = ${a.imageTokens}`),
      h(
        "span",
        {
          title:
            "from the question to the first token, looking at the picture included if that had not happened",
        },
        `first token ${seconds(a.timingsMs.firstToken)}`,
      ),
      h("span", count(a.completionTokens, "token")),
      a.meanProbability !== null &&
        h(
          "span",
          { title: "mean probability of the generated tokens" },
          `${Math.round(a.meanProbability * 100)} % sure`,
        ),
      a.tokensPerSecond > 0 && h("span", `${a.tokensPerSecond.toFixed(1)} tokens/s`),
      this.sampled.temperature > 0 && h("span", `seed ${this.sampled.seed}`),
      h(
        "span",
        { title: `${a.cachedTokens} of ${a.promptTokens} prompt tokens were computed before` },
        `${a.cachedTokens}/${a.promptTokens} cached`,
      ),
    ];
    this.foot.replaceChildren(h("p.facts", ...facts), h("div.actions", ...this.actions()));
  }

  private actions(): (HTMLElement | false)[] {
    const a = this.answer!;
    const max = tokens.maximum();
    const press = (label: string, run: () => unknown, title?: string, main = false) =>
      h(
        main ? "button.main" : "button",
        { type: "button", title, onclick: () => !isBusy() && run() },
        label,
      );
    const last = latest === this && app.turns.length > 0;
    const other = tokens.shown();
    const unsure = last && a.imageTokens < max && (a.meanProbability ?? 1) < UNSURE;
    const again =
      last &&
      a.finishReason !== "cancelled" &&
      (settings.sampling().temperature > 0 || (other !== a.imageTokens && other !== max));
    const copyIt = h("button", { type: "button" }, "Copy");
    copyIt.onclick = () => void copy(a.answer, copyIt);
    return [
      last &&
        a.finishReason === "cancelled" &&
        press(
          "Continue",
          () => app.again(this, { soFar: a.tokenIds }),
          "go on where it was stopped",
        ),
      last &&
        a.imageTokens < max &&
        press(
          `Refine with ${max}`,
          () => app.again(this, { tokens: max }),
          "ask again with all image tokens; the picture is not encoded again",
          unsure,
        ),
      unsure && h("span.hint", "unsure: try more tokens"),
      again &&
        press(
          `Again with ${other}`,
          () => app.again(this, { tokens: other }),
          "ask again with the image tokens chosen now; the picture is not encoded again",
        ),
      app.picture === this.picture &&
        press(
          "Compare",
          () => compare(this.question, this.turns),
          "the same question with few and many image tokens",
        ),
      copyIt,
    ];
  }

  /** Buttons that only make sense for the last answer go when there is a newer one. */
  refresh(): void {
    if (this.answer) this.drawFoot();
  }

  /** A draft that was refined: still there, folded away. */
  fold(): void {
    const { answer } = this;
    const summary = h(
      "summary",
      `Draft with ${answer ? count(answer.imageTokens, "image token") : "fewer image tokens"}`,
    );
    const details = h("details.draft", summary);
    this.element.classList.add("is-draft");
    this.element.replaceWith(details);
    details.append(this.element);
  }
}

let latest: Card | undefined;
/** Those that are shown. */
let cards: Card[] = [];

/** Words of `after` that are not in `before`, marked. */
function marked(before: string, after: string): (Node | string)[] {
  const old = new Set(before.toLowerCase().match(/[\p{L}\p{N}]+/gu));
  return after.split(/(\s+)/).map(word => {
    const plain = word.toLowerCase().match(/[\p{L}\p{N}]+/u)?.[0];
    return plain && !old.has(plain) ? h("mark", { title: "not in the draft" }, word) : word;
  });
}

function question(text: string, picture: Picture): HTMLElement {
  return h(
    "div.question",
    h<HTMLImageElement>("img", { src: picture.url, alt: "", width: 32, height: 32 }),
    h("p", { dir: "auto" }, text),
  );
}

/** A card for an answer under way; with `refines` it takes the place of that draft. */
export function newAnswer(text: string, picture: Picture, turns: Turn[], refines?: Card): Card {
  const card = new Card(text, picture, turns, refines);
  const before = latest;
  latest = card;
  if (refines) {
    refines.element.after(card.element);
    refines.fold();
  } else {
    list().append(question(text, picture), card.element);
  }
  before?.refresh();
  find("#empty").hidden = true;
  reveal(card.element);
  return card;
}

/** Columns for one question with several m. */
export function newComparison(
  text: string,
  several: number[],
  picture: Picture,
  turns: Turn[],
): Card[] {
  const made = several.map(() => new Card(text, picture, turns));
  const shown = made.map((card, i) => {
    card.element.classList.add("column");
    card.element.prepend(h("h3", count(several[i]!, "token")));
    return card.element;
  });
  const box = h(
    "section.comparison",
    { "aria-label": `Comparison: ${text}` },
    h("div.columns", ...shown),
    h("div.plot"),
    otherColumns(text, several, picture, turns),
  );
  latest = undefined;
  list().append(question(text, picture), box);
  find("#empty").hidden = true;
  reveal(box);
  return made;
}

/** The m that the person compares; until some were chosen, few, some, many, all. */
let chosen: number[] = [];
const MOST_COLUMNS = 6;

export function compare(text: string, turns?: Turn[]): void {
  const offer = tokens.offered();
  const own = chosen.filter(m => gives(offer, m));
  void app.compare(text, own.length > 1 ? own : columns(offer), turns);
}

/** What is to be typed under a comparison. */
function wantedColumns(): string {
  const { max, exactly } = tokens.offered();
  return exactly.length > 0
    ? `2 to ${MOST_COLUMNS} of ${exactly.join(", ")}`
    : `2 to ${MOST_COLUMNS} different numbers from 1 to ${max}`;
}

/** Under a comparison: the same question with other columns. */
function otherColumns(
  text: string,
  several: number[],
  picture: Picture,
  turns: Turn[],
): HTMLElement {
  const field = h<HTMLInputElement>("input", {
    type: "text",
    value: several.join(", "),
    inputMode: "numeric",
    "aria-label": `Image tokens to compare: ${wantedColumns()}`,
  });
  const form = h<HTMLFormElement>(
    "form",
    h("span.quiet", "Columns"),
    field,
    h("button", { type: "submit" }, "Compare again"),
  );
  field.addEventListener("input", () => field.setCustomValidity(""));
  form.addEventListener("submit", event => {
    event.preventDefault();
    const offer = tokens.offered(); // of the model that is loaded now
    const wanted = [
      ...new Set(
        field.value
          .split(/[\s,;]+/)
          .filter(Boolean)
          .map(Number),
      ),
    ].sort((a, b) => a - b);
    const good =
      wanted.length > 1 && wanted.length <= MOST_COLUMNS && wanted.every(m => gives(offer, m));
    const other = app.picture !== picture ? "The picture is another one now." : "";
    field.setCustomValidity(good ? other : `Give ${wantedColumns()}.`);
    if (!field.reportValidity() || !isOpen() || !app.engine) return;
    chosen = wanted;
    compare(text, turns);
  });
  return form;
}

/** Time to the first token over m, under a comparison. */
export function plot(columns: Card[]): void {
  const points = columns.flatMap(({ answer }) =>
    answer ? [{ m: answer.imageTokens, ms: answer.timingsMs.prefill, says: answer.answer }] : [],
  );
  const box = columns[0]?.element.closest(".comparison")?.querySelector(".plot");
  if (!box || points.length < 2) return;
  const drawing = overTokens(points, "Time to read picture and question");
  const pins = columns.map(
    ({ answer }) =>
      answer &&
      h(
        "button",
        { type: "button", onclick: () => tokens.choose(answer.imageTokens) },
        `Use ${answer.imageTokens} from now on`,
      ),
  );
  box.replaceChildren(
    h("p.small", "Time to read picture and question, the picture encoded once"),
    drawing,
    h("div.actions", ...pins),
  );
  reveal(box.closest(".comparison")!);
}

/**
 * A new picture begins a new conversation; the old one stays to be read. What it returns takes that
 * back.
 */
export function newPicture(): () => void {
  const [before, line] = [latest, h("hr")];
  latest = undefined;
  for (const card of cards) card.refresh();
  if (list().childElementCount > 0 && !list().lastElementChild?.matches("hr")) list().append(line);
  return () => {
    line.remove();
    if (before && cards.includes(before)) latest = before;
    for (const card of cards) card.refresh();
  };
}

export function clear(): void {
  latest = undefined;
  cards = [];
  list().replaceChildren();
  find("#spoken").replaceChildren();
  find("#empty").hidden = false;
}

onState(() => latest?.refresh());
tokens.onMove(() => latest?.refresh());
