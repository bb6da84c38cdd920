// Where each image token reads from: the resampler's weights over what the model sees, one token or
// the first m together.

import type { View } from "mqt-web";
import { app } from "./app";
import { find, h } from "./dom";
import * as tokens from "./tokens";

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
    if (index) pick(Number(index));
  });
  strip.addEventListener("pointerleave", () => pick(0));
  strip.addEventListener("click", event => {
    const index = (event.target as HTMLElement).dataset.token;
    if (index) pick(Number(index));
  });
  tokens.onMove(() => {
    drawStrip();
    if (canvas && !find("#heat").hidden) void redraw();
  });
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
    cell.classList.toggle("on", i < tokens.shown());
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
  if (!canvas || !view || !app.engine || find("#heat").hidden) return;
  const [engine, there] = [app.engine, tokensThere()];
  if (mapOf !== engine || mapTokens !== there) {
    const read = await engine.resamplerMap(there);
    if (engine !== app.engine || there !== tokensThere()) return;
    [map, mapOf, mapTokens] = [read, engine, there];
  }
  if (!map) return;
  const patches = app.engine.model.grid ** 2;
  const m = tokens.shown();
  const weights = new Float32Array(patches);
  const [from, to] = token === 0 ? [0, m] : [token - 1, token];
  for (let row = from; row < to; row++)
    for (let p = 0; p < patches; p++) weights[p]! += map[row * patches + p]! / (to - from);
  const { rgb, size } = view;
  const opacity = Number(find<HTMLInputElement>("#opacity").value) / 100;
  const drawn = await app.engine.heat(rgb, weights, 4, opacity);
  const side = size * 4;
  canvas.width = canvas.height = side;
  canvas
    .getContext("2d")
    ?.putImageData(new ImageData(new Uint8ClampedArray(drawn.rgba), side, side), 0, 0);
  const given = token > m ? " It is beyond m, so the language model does not get it." : "";
  const all = m === there ? `All ${m} tokens` : `The first ${m} tokens`;
  const who =
    token > 0 ? `Token ${token} reads` : m === 1 ? "The first token reads" : `${all} together read`;
  find("#reads").textContent =
    `${who} mostly ${drawn.place} (${Math.round(drawn.share * 100)} %).${given}`;
  drawStrip();
}
