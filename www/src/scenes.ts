// What scenes can be made of: coloured shapes and stickers, as the loaded model's pack says in
// `scenes.json` (the schema of models/toybox/stickers/manifest.json). A model that says nothing is
// offered plain shapes: nearly every model knows those.

import { type Scenes, shown } from "mqt-web";
import all from "../../models/toybox/stickers/manifest.json";
import { page } from "./actions";
import { bundled } from "./bundled";

type Context = CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D;

/** One of the things that can be put on a scene. */
export interface Sticker {
  name: string;
  /** Address of its picture; shapes have none, they take a colour. */
  url?: string;
  /**
   * Resolves when it can be drawn; rejects if its picture cannot be fetched, and may be asked
   * again.
   */
  ready(): Promise<unknown>;
  /** Draws at the origin, reaching from −1 to 1. */
  draw(context: Context, colour: string): void;
}

export interface Vocabulary {
  stickers: Sticker[];
  colours: Record<string, string>;
  grounds: string[];
  /** The most things on a scene. */
  most: number;
  /** Half extents, in parts of the side. */
  smallest: number;
  largest: number;
}

/**
 * Six quiet grounds and up to six shapes: what a model that says nothing is most likely to know.
 */
const PLAIN: Scenes = {
  limits: { things: [1, 6], size: [20 / 112, 52 / 112] },
  colours: all.colours,
  grounds: ["#f4f0e4", "#cee2f0", "#e4d0aa", "#4a5462", "#28243a", "#96aa8a"],
  shapes: all.shapes,
  stickers: [],
};

/** Pictures by file name. Addresses alone: nothing is fetched before it is shown. */
const pictures = new Map(
  Object.entries(
    import.meta.glob<string>("../../models/toybox/stickers/*.webp", {
      query: "?url",
      import: "default",
      eager: true,
    }),
  ).map(([path, url]) => [path.split("/").pop()!, url]),
);

/** What the bundled model's pack says, before the model is loaded. */
const own = Object.values(
  import.meta.glob<Scenes>("../../models/toybox/scenes.json", { import: "default" }),
)[0];

function shape({ name, outlines }: { name: string; outlines: number[][][] }): Sticker {
  return {
    name: shown(name, 60),
    ready: () => Promise.resolve(),
    draw: (context, colour) => {
      context.beginPath();
      for (const points of outlines) {
        for (const [i, [x = 0, y = 0]] of points.entries())
          i === 0 ? context.moveTo(x, y) : context.lineTo(x, y);
        context.closePath();
      }
      context.fillStyle = colour;
      context.fill("evenodd");
    },
  };
}

function sprite(name: string, url: string): Sticker {
  let image: HTMLImageElement | undefined;
  return {
    name,
    url,
    ready: () => {
      if (!image) {
        image = new Image();
        image.src = url;
      }
      return image.decode().catch(error => {
        image = undefined;
        throw error;
      });
    },
    draw: context => {
      if (image?.complete && image.naturalWidth > 0) context.drawImage(image, -1, -1, 2, 2);
    },
  };
}

const made = new WeakMap<Scenes, Vocabulary>();

/**
 * What the composer may offer: what the loaded model knows, or the one that would be loaded. The
 * same object while that is the same.
 */
export async function vocabulary(): Promise<Vocabulary> {
  const bundledOne = page.model.from === bundled.from ? await own?.() : undefined;
  const scenes = (page.engine ? page.engine.model.scenes : bundledOne) ?? PLAIN;
  const known = made.get(scenes);
  if (known) return known;
  const sprites = scenes.stickers.flatMap(({ name, file }) =>
    pictures.has(file) ? [sprite(shown(name, 60), pictures.get(file)!)] : [],
  );
  const [smallest, largest] = scenes.limits.size;
  const fresh: Vocabulary = {
    stickers: [...scenes.shapes.map(shape), ...sprites],
    colours: Object.fromEntries(
      Object.entries(scenes.colours).map(([name, value]) => [shown(name, 60), value]),
    ),
    grounds: scenes.grounds,
    most: scenes.limits.things[1],
    smallest: smallest / 2,
    largest: largest / 2,
  };
  made.set(scenes, fresh);
  return fresh;
}

/** "#f4f0e4" → [244, 240, 228]. */
export const rgb = (hex: string): number[] => [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16));

/** How far apart two colours are, at most 441. */
export const distance = (a: string, b: string): number =>
  Math.hypot(...rgb(a).map((value, i) => value - rgb(b)[i]!));

/** A colour in words, for those who hear it. */
export function inWords(hex: string): string {
  const [r, g, b] = rgb(hex) as [number, number, number];
  const [low, high] = [Math.min(r, g, b), Math.max(r, g, b)];
  const light = (low + high) / 510;
  const tone = light > 0.8 ? "light " : light < 0.35 ? "dark " : "";
  if (high - low < 14) return light > 0.97 ? "white" : `${tone}grey`;
  const spread = high - low;
  const hue =
    high === r ? (g - b) / spread : high === g ? 2 + (b - r) / spread : 4 + (r - g) / spread;
  const names: [number, string][] = [
    [15, "red"],
    [45, "brown"],
    [70, "yellow"],
    [165, "green"],
    [200, "turquoise"],
    [255, "blue"],
    [290, "purple"],
    [345, "pink"],
    [361, "red"],
  ];
  return tone + names.find(([end]) => (hue * 60 + 360) % 360 < end)![1];
}
