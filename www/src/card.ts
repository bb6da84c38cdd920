// One answer on the page: streaming text, then how sure and how fast it was, and what can be done
// next.

import type { Answer, Answering, Turn } from "mqt-web";
import { type Picture, page } from "./actions";
import { chosenColumns } from "./chosen";
import { copy, find, h, reveal, seconds } from "./dom";
import { lazily } from "./lazily";
import { overlay } from "./overlay";
import { settings } from "./settings";
import { isBusy, isOpen } from "./state";
import { knowsScenesOnly } from "./picture";
import * as steps from "./steps";
import * as tokens from "./tokens";
import { looked, talk as words } from "./words";

/**
 * Below this mean probability of its words an answer is worth asking again, if there are more image
 * tokens.
 */
export const UNSURE = 0.85;

/** The cards that are shown, and the one that can be refined. */
export const cards = { all: [] as Card[], latest: undefined as Card | undefined };

/** Redraws all: buttons that only make sense for the last answer go when there is a newer one. */
export function refreshAll(): void {
  for (const card of cards.all) card.refresh();
}

export class Card {
  readonly element: HTMLElement;
  private readonly text = h("p.text", { "aria-hidden": "true", dir: "auto" });
  private readonly foot = h("footer");
  private streamed = "";
  private spoken = 0;
  answer: Answer | undefined;
  /** The question above it. */
  asked: HTMLElement | undefined;
  /** What it is a column of. */
  comparison: { readonly columns: Card[]; markdown(): string } | undefined;
  /** Whether *Details* are shown. */
  private isOpen = false;
  /** What the answer was drawn with. */
  private sampled = settings.sampling();

  /** `turns` are what was said before the question; `refines` is the draft that this replaces. */
  constructor(
    readonly question: string,
    /** What it was asked about, in the order of the prompt. */
    readonly pictures: Picture[],
    readonly turns: Turn[],
    private readonly refines?: Card,
    /** One of a comparison's columns. */
    readonly isColumn = false,
  ) {
    cards.all.push(this);
    this.element = h(
      "article.answer.running",
      { "aria-label": words.answerTo(question) },
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
    this.streamed = answer.answer;
    this.spoken = Math.min(this.spoken, this.streamed.length);
    this.speak(true);
    this.put(answer);
    reveal(this.element);
  }

  /** Shows an answer without saying it: it was given earlier. */
  put(answer: Answer): void {
    this.answer = answer;
    const draft = this.refines?.question === this.question ? this.refines.answer : undefined;
    const nothing = answer.finishReason === "cancelled" ? words.stoppedEarly : words.noWords;
    const said = answer.answer === "" ? h("i", nothing) : answer.answer;
    this.text.replaceChildren(...(draft ? marked(draft.answer, answer.answer) : [said]));
    this.done(answer.finishReason);
    Object.assign(this.element.dataset, {
      imageTokens: String(answer.imageTokens),
      visionRuns: String(answer.visionRuns),
      tokenIds: answer.tokenIds.join(" "),
    });
    this.refresh();
  }

  fail(error: unknown): void {
    const { code = "internal" } = error as { code?: string };
    if (this.streamed === "")
      this.text.replaceChildren(h("i", code === "cancelled" ? words.stoppedEarly : words.noAnswer));
    else this.text.querySelector(".caret")?.remove();
    this.done(code);
    this.element.dataset.imageTokens ??= String(tokens.shown());
    this.element.dataset.visionRuns ??= "0";
    const ask = press(words.repeat, () => isOpen() && void page.ask(this.question));
    this.foot.replaceChildren(h("div.actions", ask));
  }

  /** One that was not asked any more. */
  skip(): void {
    this.text.replaceChildren(h("i", words.notAsked));
    this.done("cancelled");
  }

  private done(reason: string): void {
    this.text.removeAttribute("aria-hidden");
    this.element.classList.remove("running");
    this.element.dataset.finishReason = reason;
  }

  private get isUnsure(): boolean {
    return (this.answer?.meanProbability ?? 1) < UNSURE;
  }

  /** Called when it was drawn anew. */
  drawn?: () => void;

  /** The drafts that led to it, the first one first. */
  get drafts(): Answer[] {
    const before = this.refines;
    return before ? [...before.drafts, ...(before.answer ? [before.answer] : [])] : [];
  }

  refresh(): void {
    // The buttons are made anew: who stood on one stands on its like.
    const held = this.foot.contains(document.activeElement) && document.activeElement?.textContent;
    this.draw();
    this.drawn?.();
    if (!held) return;
    const buttons = [...this.foot.querySelectorAll<HTMLElement>("button")];
    const like = buttons.find(({ textContent }) => textContent === held);
    (like ?? (this.isColumn ? buttons[0] : undefined))?.focus({ preventScroll: true });
  }

  private draw(): void {
    const a = this.answer;
    if (!a) return;
    const sure = a.meanProbability;
    const facts = [
      !this.isColumn && h("span.m", words.tokens(a.imageTokens, a.images.length)),
      sure !== null &&
        h("span", { title: words.confidenceHint }, words.confidence(Math.round(sure * 100))),
      h(
        "span",
        { title: words.firstTokenHint },
        this.isColumn
          ? words.readIn(seconds(a.timingsMs.prefill))
          : words.firstIn(
              seconds(a.timingsMs.firstToken),
              a.promptTokens - a.cachedTokens < tokensOf(a),
            ),
      ),
      a.finishReason === "length" && h("span.hint", words.cutOff(a.completionTokens)),
      !this.isColumn && a.images.length > 1 && knowsScenesOnly() && h("span.hint", words.mixes),
      this.isUnsure &&
        h("span.hint", { title: words.lowConfidence(UNSURE * 100) }, this.unsureWords(a)),
    ];
    if (this.isColumn) {
      // On a phone the knob is out of sight: the button says what it did.
      const isUsed = tokens.wanted() === a.imageTokens;
      const label = isUsed ? words.used(a.imageTokens) : words.use(a.imageTokens);
      const use = h("button.use", { type: "button" }, label);
      use.ariaPressed = String(isUsed);
      use.onclick = () => tokens.choose(a.imageTokens);
      const look = this.mayLook(a) && this.look(a);
      return this.foot.replaceChildren(h("p.facts", ...facts), h("div.actions", use, look));
    }
    const [button, details] = this.details(a);
    const actions = h("div.actions", ...this.actions(a), button);
    this.foot.replaceChildren(h("p.facts", ...facts), actions, details);
  }

  private unsureWords(a: Answer): string {
    if (this.isColumn) return words.lowShort;
    return (a.imageTokens < tokens.maximum() ? words.lowMore : words.lowConfidence)(UNSURE * 100);
  }

  private details(a: Answer): [HTMLElement, HTMLElement] {
    const lines = [
      a.imageTokensMode === "auto" && words.autoBecause(a.imageTokensReason),
      a.tiles > a.images.length && words.squares(a.tiles),
      a.select !== "nested" && words.chosenBy(a.select),
      words.generated(a.completionTokens),
      a.tokensPerSecond > 0 && words.rate(a.tokensPerSecond.toFixed(1)),
      this.sampled.temperature > 0 && words.seed(this.sampled.seed),
      words.cached(a.cachedTokens, a.promptTokens),
    ].filter(Boolean);
    const text = h("p.more.small", lines.join(" · "));
    const button = h("button", { type: "button" }, words.details);
    const show = (open: boolean) => {
      [this.isOpen, text.hidden, button.ariaExpanded] = [open, !open, String(open)];
    };
    show(this.isOpen);
    button.onclick = () => {
      show(!this.isOpen);
      // What opens comes into sight.
      if (this.isOpen) reveal(text);
    };
    return [button, text];
  }

  private actions(a: Answer): (HTMLElement | false)[] {
    const max = tokens.maximum();
    const other = tokens.shown();
    // About other pictures the same question would be another one.
    const last = cards.latest === this && page.turns.length > 0 && this.isAbout();
    const whole = a.finishReason !== "cancelled";
    const draws = settings.sampling().temperature > 0;
    const again =
      last &&
      whole &&
      !tokens.isUndecided() &&
      (draws || (other !== a.imageTokens && other !== max));
    const copyIt = h("button", { type: "button" }, words.copy);
    copyIt.onclick = () => void copy(a.answer, copyIt);
    return [
      last &&
        !whole &&
        press(words.continueIt, () => page.again({ soFar: a.tokenIds }), words.continueHint),
      last &&
        a.imageTokens < max &&
        press(
          words.refine(max),
          () => page.again({ tokens: max }),
          words.refineHint,
          this.isUnsure,
        ),
      again && press(words.again(other), () => page.again({ tokens: other }), words.againHint),
      this.isAbout() &&
        press(
          words.compareIt,
          () => page.compare(this.question, chosenColumns(tokens.offered()), this.turns),
          words.compareHint,
        ),
      this.mayLook(a) && this.look(a),
      last && press(words.edit, () => page.edit(), words.editHint),
      copyIt,
    ];
  }

  /** Whether its pictures are still there. */
  isAbout(): boolean {
    return this.pictures.every(picture => page.pictures.includes(picture));
  }

  /** Chosen by the question, the image tokens are others in every layer: there is no map then. */
  private mayLook(a: Answer): boolean {
    return this.isAbout() && a.select !== "question" && a.completionTokens > 0;
  }

  /** Shows and hides what the answer looked at. */
  private look(a: Answer): HTMLElement {
    const toggle = async () => (await import("./glance")).toggle(this);
    const label = this.isColumn ? looked.short : looked.button;
    const button = press(label, () => lazily("what it looked at", toggle), looked.hint);
    button.ariaLabel = looked.button;
    button.classList.add("look");
    button.ariaPressed = String(overlay()?.answer === a);
    return button;
  }

  /** A draft that was refined: still there, folded away. */
  fold(): void {
    const details = h("details.draft", h("summary", words.draft(this.answer?.imageTokens)));
    this.element.classList.add("is-draft");
    this.element.replaceWith(details);
    details.append(this.element);
  }
}

/** Image tokens of all its pictures. */
const tokensOf = ({ imageTokens, images }: Answer) => imageTokens * images.length;

const press = (label: string, run: () => unknown, title?: string, main = false) =>
  h(
    main ? "button.main" : "button",
    { type: "button", title, onclick: () => !isBusy() && run() },
    label,
  );

/** Words of `after` that are not in `before`, marked. */
function marked(before: string, after: string): (Node | string)[] {
  const old = new Set(before.toLowerCase().match(/[\p{L}\p{N}]+/gu));
  return after.split(/(\s+)/).map(word => {
    const plain = word.toLowerCase().match(/[\p{L}\p{N}]+/u)?.[0];
    return plain && !old.has(plain) ? h("mark", { title: words.notInDraft }, word) : word;
  });
}
