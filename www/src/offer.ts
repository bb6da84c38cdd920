// How many image tokens the loaded model gives: every number up to its most, or some only. Until
// one is loaded, the bundled model's.

import type { Loaded } from "mqt-web";

export interface Offer {
  /** M. */
  most: number;
  /** The numbers there are, rising; empty: every one from 1 to M. */
  only: number[];
  /** Those worth comparing, rising. */
  ladder: number[];
}

const LADDER = [2, 4, 8, 16, 36, 64, 144, 256];

/** Every number from 1 to `most`. */
const upTo = (most: number): Offer => ({
  most,
  only: [],
  ladder: LADDER.filter(m => m < most).concat(most),
});

export const bundledOffer = upTo(__BUNDLED__.imageTokens);

export const offerOf = (model: Loaded): Offer => ({
  most: model.image_tokens_max,
  only: model.image_tokens_offered,
  ladder: model.ladder,
});

/** Whether the model gives so many. */
export const gives = ({ most, only }: Offer, m: number): boolean =>
  only.length > 0 ? only.includes(m) : Number.isInteger(m) && m >= 1 && m <= most;

/** "a whole number from 1 to 64", "1, 9 or 36". */
export function inWords({ most, only }: Offer): string {
  if (only.length === 0) return most === 1 ? "1" : `a whole number from 1 to ${most}`;
  return only.length === 1 ? `${only[0]}` : `${only.slice(0, -1).join(", ")} or ${only.at(-1)}`;
}

/** The number of `list` that lies nearest to `m`, by their ratio. */
const nearestIn = (list: number[], m: number): number =>
  list.reduce((best, step) =>
    Math.abs(Math.log(step / m)) < Math.abs(Math.log(best / m)) ? step : best,
  );

/** The step of the ladder nearest to `m`. */
export const nearestStep = ({ ladder }: Offer, m: number): number => nearestIn(ladder, m);

/** The number there is that lies nearest to `m`. */
export function nearest({ most, only }: Offer, m: number): number {
  return only.length > 0
    ? nearestIn(only, Math.max(1, m))
    : Math.min(Math.max(1, Math.round(m)), most);
}

/** Few, some, many, all: what a comparison shows at first. */
export function columns(offer: Offer): number[] {
  const { most, only, ladder } = offer;
  const there = (list: number[]) =>
    [...new Set(list)].filter(m => gives(offer, m)).sort((a, b) => a - b);
  if (only.length > 0) {
    const last = only.length - 1;
    return only.length <= 4
      ? only
      : [only[0]!, only[Math.round(last / 3)]!, only[Math.round((2 * last) / 3)]!, only[last]!];
  }
  const usual = [[2, 16, 64, most], [2, 8, 16, most], ladder, [1, most]].map(there);
  return usual.find(list => list.length > 3) ?? usual.find(list => list.length > 1) ?? [most];
}
