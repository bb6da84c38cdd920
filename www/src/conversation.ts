// The list of questions and answers.

import type { Answer, Turn } from "mqt-web";
import type { Picture } from "./actions";
import { Card, cards, refreshAll } from "./card";
import { Comparison } from "./comparison";
import { find, h, reveal } from "./dom";
import { onState } from "./state";
import * as tokens from "./tokens";

const list = () => find("#answers");

function question(text: string, picture: Picture): HTMLElement {
  return h(
    "div.question",
    h<HTMLImageElement>("img", { src: picture.url, alt: "", width: 36, height: 36 }),
    h("p", { dir: "auto" }, text),
  );
}

/** The card that can be refined, continued or edited. */
export const latest = () => cards.latest;

/** A card for an answer under way; with `refines` it takes the place of that draft. */
export function newAnswer(text: string, picture: Picture, turns: Turn[], refines?: Card): Card {
  const card = new Card(text, picture, turns, refines);
  const before = cards.latest;
  cards.latest = card;
  if (refines) {
    refines.element.after(card.element);
    refines.fold();
    // It may be the same question in other words.
    const asked = card.element.closest("#answers")?.querySelectorAll(".question p");
    const own = [...(asked ?? [])].at(-1);
    if (own) own.textContent = text;
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
): Comparison {
  const made = new Comparison(text, several, picture, turns);
  cards.latest = undefined;
  list().append(question(text, picture), made.element);
  find("#empty").hidden = true;
  refreshAll();
  reveal(made.element);
  return made;
}

/** Answers that were given before the page was loaded. */
export function restore(picture: Picture, answers: Answer[]): void {
  for (const [i, answer] of answers.entries()) {
    const card = new Card(answer.question, picture, answers.slice(0, i));
    cards.latest = card;
    list().append(question(answer.question, picture), card.element);
    card.put(answer);
  }
  refreshAll();
  find("#empty").hidden = answers.length > 0;
}

/**
 * A new picture begins a new conversation; the old one stays to be read. What it returns takes that
 * back.
 */
export function newPicture(): () => void {
  const [before, line] = [cards.latest, h("hr")];
  cards.latest = undefined;
  refreshAll();
  if (list().childElementCount > 0 && !list().lastElementChild?.matches("hr")) list().append(line);
  return () => {
    line.remove();
    if (before && cards.all.includes(before)) cards.latest = before;
    refreshAll();
  };
}

export function clear(): void {
  [cards.all, cards.latest] = [[], undefined];
  list().replaceChildren();
  find("#spoken").replaceChildren();
  find("#empty").hidden = false;
}

/** Redraws the last card when what it offers may have changed. */
export function setUp(): void {
  onState(() => cards.latest?.refresh());
  tokens.onMove(() => cards.latest?.refresh());
}
