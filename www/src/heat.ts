// Where each image token reads from: the resampler's weights over what the model sees, one token or
// the first m together.

import type { View } from "mqt-web";
import { page } from "./actions";
import { find, h } from "./dom";
import * as tokens from "./tokens";
import { knob as words } from "./words";

/** A token of the strip is outlined only while the map is shown. */
const isShown = () => !find("#heat").hidden;

/** [tokens, patches] */
let map: Float32Array | undefined;
/** Which engine's map it is, and of how many tokens. */
let [mapOf, mapTokens]: [unknown, number] = [undefined, 0];
/** 0: all m together. */
let token = 0;
let canvas: HTMLCanvasElement | undefined;
let view: View | undefined;

export function setUp(): void {
  const walk = find<HTMLInputElement>("#token");
  const opacity = find<HTMLInputElement>("#opacity");
  walk.addEventListener("input", () => pick(Number(walk.value)));
  opacity.addEventListener("input", () => void redraw());
  const strip = find("#strip");
  strip.addEventListener("pointerover", event => {
    const index = (event.target as HTMLElement).dataset.token;
    if (index && isShown()) pick(Number(index));
  });
  strip.addEventListener("pointerleave", () => isShown() && pick(0));
  strip.addEventListener("click", event => {
    const index = (event.target as HTMLElement).dataset.token;
    if (index && isShown()) pick(Number(index));
  });
  tokens.onMove(() => {
    drawStrip();
    if (canvas && !find("#heat").hidden) void redraw();
  });
  drawStrip();
}

/** Nothing is picked any more: another picture, or another way to look at it. */
export function forget(): void {
  if (token === 0) return;
  token = 0;
  find<HTMLInputElement>("#token").value = "0";
  drawStrip();
}

function pick(index: number): void {
  token = index;
  find<HTMLInputElement>("#token").value = String(index);
  void redraw();
}

/**
 * Where the first tokens of many are taken, all of them can be looked at; where fewer are averages,
 * they are all there is.
 */
const tokensThere = () => (tokens.offered().exactly.length > 0 ? tokens.shown() : tokens.maximum());

/** More cells than this stand without gaps. */
const MANY = 128;

/** A cell for each token; those beyond m are given up. */
function drawStrip(): void {
  const strip = find("#strip");
  const max = tokensThere();
  if (token > max) {
    token = 0;
    find<HTMLInputElement>("#token").value = "0";
  }
  strip.classList.toggle("many", max > MANY);
  find<HTMLInputElement>("#token").max = String(max);
  if (strip.childElementCount !== max)
    strip.replaceChildren(
      ...Array.from({ length: max }, (_, i) => h("i", { "data-token": String(i + 1) })),
    );
  for (const [i, cell] of [...strip.children].entries()) {
    cell.classList.toggle("on", i < tokens.shown() && !tokens.isUndecided());
    cell.classList.toggle("picked", i + 1 === token);
  }
}

export async function draw(on: HTMLCanvasElement, seen: View, attention: boolean): Promise<void> {
  canvas = on;
  view = seen;
  const { size, rgb } = seen;
  const image = new ImageData(size, size);
  for (let i = 0; i < size * size; i++) {
    image.data.set(rgb.subarray(i * 3, i * 3 + 3), i * 4);
    image.data[i * 4 + 3] = 255;
  }
  if (!attention) {
    on.width = on.height = size;
    on.getContext("2d")?.putImageData(image, 0, 0);
    return;
  }
  await redraw();
}

async function redraw(): Promise<void> {
  if (!canvas || !view || !page.engine || find("#heat").hidden) return;
  const [engine, there] = [page.engine, tokensThere()];
  if (mapOf !== engine || mapTokens !== there) {
    const read = await engine.resamplerMap(there);
    if (engine !== page.engine || there !== tokensThere()) return;
    [map, mapOf, mapTokens] = [read, engine, there];
  }
  if (!map) return;
  const patches = page.engine.model.grid ** 2;
  const m = tokens.shown();
  const weights = new Float32Array(patches);
  const [from, to] = token === 0 ? [0, m] : [token - 1, token];
  for (let row = from; row < to; row++)
    for (let p = 0; p < patches; p++) weights[p]! += map[row * patches + p]! / (to - from);
  const { rgb, size } = view;
  const opacity = Number(find<HTMLInputElement>("#opacity").value) / 100;
  // In words: of the patches as they are. On the picture: smooth, as no patch has an edge.
  const { place, share } = await page.engine.heat(rgb, weights, 1, 0);
  const drawn = await page.engine.heat(rgb, smooth(weights, page.engine.model.grid), 4, opacity);
  // Something else may be shown by now.
  if (find("#heat").hidden) return;
  const side = size * 4;
  canvas.width = canvas.height = side;
  canvas
    .getContext("2d")
    ?.putImageData(new ImageData(new Uint8ClampedArray(drawn.rgba), side, side), 0, 0);
  const all = m === there ? words.allRead(m) : words.someRead(m);
  const who = token > 0 ? words.token(token) : m === 1 ? words.firstReads : all;
  const unused = token > m ? words.unused(m) : "";
  find("#reads").textContent =
    share < EVEN
      ? words.readsEvenly(who, unused)
      : words.reads(who, place, Math.round(share * 100), unused);
  drawStrip();
}

/** A ninth of a picture with less than this of its weight has little more than its part. */
export const EVEN = 1.5 / 9;

/** Finer cells between the centres of a map's cells. */
export const FINER = 7;

/** The same weights, row by row, on a grid that is `FINER` times as fine: interpolated. */
export function smooth(weights: Float32Array, columns: number, rows = columns): Float32Array {
  const width = columns * FINER;
  const made = new Float32Array(width * rows * FINER);
  const at = (i: number, grid: number) => {
    const place = Math.min(grid - 1, Math.max(0, (i + 0.5) / FINER - 0.5));
    const low = Math.floor(place);
    return [low, Math.min(grid - 1, low + 1), place - low] as const;
  };
  for (let y = 0; y < rows * FINER; y++) {
    const [y0, y1, fy] = at(y, rows);
    for (let x = 0; x < width; x++) {
      const [x0, x1, fx] = at(x, columns);
      const row = (r: number) =>
        weights[r * columns + x0]! * (1 - fx) + weights[r * columns + x1]! * fx;
      made[y * width + x] = row(y0) * (1 - fy) + row(y1) * fy;
    }
  }
  return made;
}
