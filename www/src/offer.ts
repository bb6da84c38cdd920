// How many image tokens the loaded model gives: every number up to its most, or some only. Until
// one is loaded, the bundled model's.

import { DEFAULTS, type Offer } from "mqt-web";
import { knob as words } from "./words";

/** Every number from 1 to `max`. */
const upTo = (max: number): Offer => ({
  max,
  exactly: [],
  ladder: [...DEFAULTS.ladder.filter(m => m < max), max],
  levels: [{ imageTokens: max, tiles: 1 }],
});

export const bundledOffer = upTo(__BUNDLED__.imageTokens);

/** Whether the model offers this number. */
export const gives = ({ max, exactly }: Offer, m: number): boolean =>
  exactly.length > 0 ? exactly.includes(m) : Number.isInteger(m) && m >= 1 && m <= max;

/** "a whole number from 1 to 64", "1, 9 or 36". */
export const inWords = ({ max, exactly }: Offer): string =>
  exactly.length === 0 ? words.upTo(max) : words.or(exactly);

/** The number of `list` that lies nearest to `m`, by their ratio. */
const nearestIn = (list: number[], m: number): number =>
  list.reduce((best, step) =>
    Math.abs(Math.log(step / m)) < Math.abs(Math.log(best / m)) ? step : best,
  );

/** The step of the ladder nearest to `m`. */
export const nearestStep = ({ ladder }: Offer, m: number): number => nearestIn(ladder, m);

/** The number there is that lies nearest to `m`. */
export function nearest({ max, exactly }: Offer, m: number): number {
  return exactly.length > 0
    ? nearestIn(exactly, Math.max(1, m))
    : Math.min(Math.max(1, Math.round(m)), max);
}

/** Few, some, many, all: what a comparison shows at first. */
export function columns(offer: Offer): number[] {
  const { max, exactly, ladder } = offer;
  const there = (list: number[]) =>
    [...new Set(list)].filter(m => gives(offer, m)).sort((a, b) => a - b);
  if (exactly.length > 0) {
    const last = exactly.length - 1;
    return exactly.length <= 4
      ? exactly
      : [
          exactly[0]!,
          exactly[Math.round(last / 3)]!,
          exactly[Math.round((2 * last) / 3)]!,
          exactly[last]!,
        ];
  }
  const usual = [[2, 16, 64, max], [2, 8, 16, max], ladder, [1, max]].map(there);
  return usual.find(list => list.length > 3) ?? usual.find(list => list.length > 1) ?? [max];
}
