// A pack's manifest, as far as fetching its files needs it; the engine reads the rest. A stranger
// wrote it.

import { EngineError } from "./errors";
import { plainAddress } from "./network";
import { shown } from "./shown";

/** A file of a pack, as its manifest lists it. */
export interface Entry {
  file: string;
  bytes: number;
  sha256: string;
}

export interface Manifest {
  name: string;
  files: Entry[];
  shards: Entry[];
}

/** Files of one pack. */
const MOST_FILES = 10_000;

/** `mqt convert` writes at most 64 MiB into a file; a browser has to hold one whole to hash it. */
const MOST_FILE_BYTES = 1 << 30;

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null;
const isHash = (value: unknown) => typeof value === "string" && /^[0-9a-f]{64}$/.test(value);
const isName = (value: unknown) =>
  typeof value === "string" &&
  value !== "" &&
  !/^\.|[\\/:]/.test(value) &&
  shown(value, 255) === value;
const isSize = (value: unknown) =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= MOST_FILE_BYTES;

/** Whether these can be a pack's files. */
export const areEntries = (value: unknown): value is Entry[] =>
  Array.isArray(value) &&
  value.length <= MOST_FILES &&
  value.every(
    (entry: unknown) =>
      isObject(entry) && isName(entry.file) && isSize(entry.bytes) && isHash(entry.sha256),
  );

/** How pictures begin, as one-byte characters. */
const PICTURE = /^(\x89PNG|\xff\xd8\xff|GIF8|RIFF.{4}WEBP|.{4}ftyp(avif|heic|mif1))/s;

const RIGHT = "; is the address right?";

/** What bytes that are no JSON are instead, in words: none of them is repeated. */
function kindOf(bytes: Uint8Array): string {
  const start = String.fromCharCode(...bytes.subarray(0, 300)).replace(/^\xef\xbb\xbf/, "");
  if (bytes.length === 0) return `is empty${RIGHT}`;
  if (PICTURE.test(start)) return `is a picture, not a manifest.json${RIGHT}`;
  if (/^\s*<(!doctype html|html|head|body|!--)/i.test(start))
    return `is a web page, not a manifest.json${RIGHT}`;
  if (/^\s*\{/.test(start)) return "is not whole: it ends early, or is damaged";
  return `is not a manifest.json${RIGHT}`;
}

/** The manifest in these bytes, which came from `url`. */
export function parseManifest(bytes: Uint8Array, url: string): Manifest {
  const corrupt = (what: string) =>
    new EngineError("model-corrupt", `${plainAddress(url)} ${what}`, {
      file: "manifest.json",
    });
  let manifest: unknown;
  try {
    manifest = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw corrupt(kindOf(bytes));
  }
  if (!isObject(manifest) || !areEntries(manifest.files) || !areEntries(manifest.shards))
    throw corrupt(`is JSON, but it is not a pack's manifest${RIGHT}`);
  const { name, files, shards } = manifest;
  return { name: typeof name === "string" ? name : "a model without a name", files, shards };
}
