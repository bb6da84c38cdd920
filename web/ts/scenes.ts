// `scenes.json`, which a pack may bring: what scenes its model was trained on.

import type { Scenes } from "./messages";

const FILE = "scenes.json";
/** Larger ones are not read. */
const MOST_BYTES = 1_000_000;

interface Files {
  size(name: string): Promise<number | undefined>;
  read(name: string, start: number, end: number): Promise<Uint8Array>;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null;
const isPair = (value: unknown) =>
  Array.isArray(value) && value.length === 2 && value.every(n => typeof n === "number" && n > 0);
const isColour = (value: unknown) => typeof value === "string" && /^#[0-9a-f]{6}$/i.test(value);
const isPoint = (value: unknown) =>
  Array.isArray(value) && value.length === 2 && value.every(n => typeof n === "number");
const isList = (value: unknown, isItem: (item: unknown) => boolean): boolean =>
  Array.isArray(value) && value.every(isItem);
const isOutline = (value: unknown) => isList(value, isPoint);
const isShape = (value: unknown) =>
  isObject(value) && typeof value.name === "string" && isList(value.outlines, isOutline);
const isSticker = (value: unknown) =>
  isObject(value) && typeof value.name === "string" && typeof value.file === "string";

/** Whether a stranger's file is what it should be. */
function isScenes(value: unknown): value is Scenes {
  if (!isObject(value) || !isObject(value.limits) || !isObject(value.colours)) return false;
  const { limits, colours, grounds, shapes, stickers } = value;
  const hasColours =
    isList(Object.values(colours), isColour) &&
    isList(grounds, isColour) &&
    (grounds as unknown[]).length > 0;
  return (
    isPair(limits.things) &&
    isPair(limits.size) &&
    hasColours &&
    isList(shapes, isShape) &&
    isList(stickers, isSticker)
  );
}

/** What the pack says; `undefined` if it says nothing, or nothing usable. A model works without. */
export async function readScenes(files: Files): Promise<Scenes | undefined> {
  const bytes = await files.size(FILE);
  if (!bytes || bytes > MOST_BYTES) return undefined;
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(await files.read(FILE, 0, bytes)));
    return isScenes(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
