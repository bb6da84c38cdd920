// Which m a comparison shows: few, some, many, all, until the person chose others.

import type { Offer } from "mqt-web";
import { columns, gives } from "./offer";
import { talk as words } from "./words";

export const MOST_COLUMNS = 6;

let chosen: number[] = [];

export const choose = (several: number[]) => void (chosen = several);

export function chosenColumns(offer: Offer): number[] {
  const own = chosen.filter(m => gives(offer, m));
  return own.length > 1 ? own : columns(offer);
}

/** What is to be typed under a comparison. */
export const inWords = ({ max, exactly }: Offer): string =>
  exactly.length > 0 ? words.ofThese(MOST_COLUMNS, exactly) : words.numbers(MOST_COLUMNS, max);

/** The different numbers in a text, rising; `undefined` if the model does not give them. */
export function typed(text: string, offer: Offer): number[] | undefined {
  const parts = text.split(/[\s,;]+/).filter(Boolean);
  const wanted = [...new Set(parts.map(Number))].sort((a, b) => a - b);
  const good = wanted.length > 1 && wanted.length <= MOST_COLUMNS;
  return good && wanted.every(m => gives(offer, m)) ? wanted : undefined;
}
