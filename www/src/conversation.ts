// The list of questions and answers, and of the pictures that came between them.

import { type Answer, type Turn, shown } from "mqt-web";
import { type Picture, page } from "./actions";
import { Card, cards, refreshAll } from "./card";
import { Comparison } from "./comparison";
import { find, h, reveal } from "./dom";
import type { Kept } from "./history";
import { lay, onOverlay } from "./overlay";
import { onState } from "./state";
import * as tokens from "./tokens";
import { picture as words } from "./words";

const list = () => find("#answers");

/** More thumbnails than this in one question say less, not more. */
const MOST_THUMBS = 4;

const thumb = (url: string, size: number) =>
  h<HTMLImageElement>("img", { src: url, alt: "", width: size, height: size });

function question(text: string, pictures: Picture[]): HTMLElement {
  const [few, more] = [pictures.slice(0, MOST_THUMBS), pictures.length - MOST_THUMBS];
  const made = h(
    "div.question",
    { title: pictures.length > 1 ? words.about(pictures.length) : undefined },
    ...few.map(({ url }) => thumb(url, 36)),
    more > 0 && h("span.quiet", words.more(more)),
    h("p", { dir: "auto" }, text),
  );
  opening ??= made;
  return made;
}

/** This conversation's comparisons, in their order. */
let comparisons: Comparison[] = [];
/** What is kept of the conversations before this one. */
let earlier: Kept[] = [];
/** The first question of this conversation. */
let opening: HTMLElement | undefined;
/** Once there are several pictures, each has a row where it came. */
let rows = new Map<Picture, HTMLElement>();

/** Puts each of several pictures where it came; one that is not among them any more is forgotten. */
export function place(pictures: Picture[], isNew = true): void {
  if (pictures.length < 2 && rows.size === 0) return;
  for (const picture of pictures) {
    if (rows.has(picture)) continue;
    const row = h(
      "figure.came",
      h("button", { type: "button", onclick: () => page.frame(picture) }, thumb(picture.url, 44)),
      h("figcaption"),
    );
    rows.set(picture, row);
    if (picture.turn === 0 && opening) opening.before(row);
    else list().append(row);
  }
  for (const [picture, row] of rows) {
    const [n, name] = [pictures.indexOf(picture) + 1, shown(picture.name, 60)];
    row.classList.toggle("forgotten", n === 0);
    const button = find<HTMLButtonElement>("button", row);
    button.disabled = n === 0;
    button.ariaLabel = words.frame(n, name);
    find("figcaption", row).textContent = n > 0 ? words.nth(n, name) : words.forgotten(name);
  }
  find("#empty").hidden = !isEmpty();
  // An answer about one that was forgotten offers less.
  if (isNew) refreshAll();
  const last = pictures.at(-1);
  if (isNew && last && rows.get(last) === list().lastElementChild) reveal(rows.get(last)!);
}

/** The card that can be refined, continued or edited. */
export const latest = () => cards.latest;

/** A card for an answer under way; with `refines` it takes the place of that draft. */
export function newAnswer(text: string, pictures: Picture[], turns: Turn[], refines?: Card): Card {
  const card = new Card(text, pictures, turns, refines);
  const before = cards.latest;
  cards.latest = card;
  if (refines) {
    refines.element.after(card.element);
    refines.fold();
    // It may be the same question in other words.
    const own = refines.asked?.querySelector("p");
    if (own) own.textContent = text;
    card.asked = refines.asked;
  } else {
    card.asked = question(text, pictures);
    list().append(card.asked, card.element);
  }
  before?.refresh();
  find("#empty").hidden = true;
  reveal(card.element);
  return card;
}

/** Columns for one question with several m, below the conversation's first `above` turns. */
export function newComparison(
  text: string,
  several: number[],
  pictures: Picture[],
  turns: Turn[],
  above: number,
): Comparison {
  const made = listed(new Comparison(text, several, pictures, turns, above));
  find("#empty").hidden = true;
  refreshAll();
  reveal(made.element);
  return made;
}

function listed(comparison: Comparison): Comparison {
  comparisons.push(comparison);
  cards.latest = undefined;
  list().append(question(comparison.question, comparison.pictures), comparison.element);
  return comparison;
}

/** Whether anything was answered in this conversation, whose turns these are. */
export const isSaid = (turns: Turn[]) =>
  turns.length > 0 || comparisons.some(({ answers }) => answers.length > 0);

/** Whether the one stands before the other. */
const stands = (one: Element | undefined, other: Element): boolean =>
  one !== undefined &&
  (one.compareDocumentPosition(other) & Node.DOCUMENT_POSITION_FOLLOWING) !== 0;

/**
 * The conversations before this one, and this one: about `pictures`, after `turns`, with `others` in
 * hand. Where nothing was answered in it, it is not there.
 */
export function kept(pictures: Picture[], turns: Answer[], others: Picture[] = []): Kept[] {
  if (!isSaid(turns)) return earlier;
  const of = new Map(cards.all.map(card => [card.answer, card]));
  const all = rows.size > 0 ? [...rows.keys()] : pictures;
  const compared = comparisons.filter(({ answers }) => answers.length > 0);
  const about = turns.map(turn => of.get(turn)?.pictures ?? pictures);
  const used = all.filter(
    one => pictures.includes(one) || [about, compared.map(c => c.pictures)].flat(2).includes(one),
  );
  const places = (some: Picture[]) => some.map(one => used.indexOf(one));
  const put = (one: Picture) => {
    const { blob, name, turn } = one;
    return { blob, name, turn, gone: !pictures.includes(one) };
  };
  const now: Kept = {
    pictures: used.map(put),
    answers: turns,
    about: about.map(places),
    drafts: turns.map(turn => of.get(turn)?.drafts ?? []),
    m: tokens.wanted(),
    others: others.map(put),
    comparisons: compared.map(one => ({
      question: one.question,
      answers: one.answers,
      about: places(one.pictures),
      turns: one.turns.length,
      above: one.above,
      came: used.filter(picture => stands(rows.get(picture), one.element)).length,
    })),
  };
  return [...earlier, now];
}

/** What was answered before the page was loaded; `all` are its pictures, forgotten ones too. */
export function restore(all: Picture[], kept: Kept): void {
  const { pictures, answers, about, drafts, comparisons } = kept;
  const among = (places: number[]) => places.flatMap(i => all[i] ?? []);
  const compare = (i: number) => {
    for (const one of comparisons) {
      if (one.above !== i) continue;
      place(all.slice(0, one.came), false);
      const several = one.answers.map(({ imageTokens }) => imageTokens);
      const after = [among(one.about), answers.slice(0, one.turns), i] as const;
      listed(new Comparison(one.question, several, ...after)).put(one.answers);
    }
  };
  const come = (i: number) =>
    all.length > 1 &&
    (i === 0 || all.some(({ turn }) => turn === i)) &&
    place(
      all.filter(({ turn }) => turn <= i),
      false,
    );
  for (const [i, answer] of answers.entries()) {
    compare(i);
    come(i);
    let card: Card | undefined;
    for (const given of [...drafts[i]!, answer]) {
      const next = new Card(given.question, among(about[i]!), answers.slice(0, i), card);
      next.asked = card?.asked ?? question(answer.question, next.pictures);
      if (card) card.element.after(next.element);
      else list().append(next.asked, next.element);
      card?.fold();
      next.put(given);
      cards.latest = card = next;
    }
  }
  compare(answers.length);
  come(answers.length);
  if (all.length > 1)
    place(
      all.filter((_, i) => !pictures[i]!.gone),
      false,
    );
  refreshAll();
  find("#empty").hidden = !isEmpty();
  toEnd();
}

/** In a column of its own what came last is seen at once; a phone's page stays where it is. */
function toEnd(): void {
  const column = find("#scroll");
  column.scrollTop = column.scrollHeight;
}

/**
 * A new conversation begins; the old one, about `pictures` and with these turns, stays to be read.
 * What it returns takes that back.
 */
export function begin(pictures: Picture[], turns: Turn[]): () => void {
  const [before, line] = [cards.latest, h("p.divider", { role: "separator" }, words.divider)];
  const old = [rows, opening, comparisons, earlier] as const;
  earlier = kept(pictures, turns as Answer[]);
  const press = (able: boolean) => {
    for (const row of old[0].values())
      find<HTMLButtonElement>("button", row).disabled = !able || row.matches(".forgotten");
  };
  [cards.latest, rows, opening, comparisons] = [undefined, new Map(), undefined, []];
  lay();
  press(false);
  refreshAll();
  if (list().childElementCount > 0 && !list().lastElementChild?.matches(".divider"))
    list().append(line);
  toEnd();
  return () => {
    for (const row of rows.values()) row.remove();
    line.remove();
    [rows, opening, comparisons, earlier] = old;
    press(true);
    if (before && cards.all.includes(before)) cards.latest = before;
    refreshAll();
  };
}

/** Whether nothing was asked on this page. */
export const isEmpty = () => cards.all.length === 0;

/** Takes everything away. What it returns puts it back. */
export function clear(): () => void {
  const before = [cards.all, cards.latest, rows, opening, comparisons, earlier] as const;
  const shown = [...list().children];
  [cards.all, cards.latest, rows, opening] = [[], undefined, new Map(), undefined];
  [comparisons, earlier] = [[], []];
  lay();
  list().replaceChildren();
  find("#spoken").replaceChildren();
  find("#empty").hidden = false;
  return () => {
    [cards.all, cards.latest, rows, opening, comparisons, earlier] = before;
    list().replaceChildren(...shown);
    find("#empty").hidden = shown.length > 0;
    refreshAll();
  };
}

/** Redraws the last card when what it offers may have changed. */
export function setUp(): void {
  onState(() => cards.latest?.refresh());
  tokens.onMove(() => {
    for (const card of cards.all) if (card.isColumn || card === cards.latest) card.refresh();
  });
  onOverlay(refreshAll);
}
