// A pack's manifest, as far as fetching its files needs it; the engine reads the rest. A stranger
// wrote it.

import { EngineError } from "./errors";
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

/** The manifest in these bytes. */
export function parseManifest(bytes: Uint8Array): Manifest {
  const corrupt = (why: string) =>
    new EngineError("model-corrupt", `manifest.json is not usable: ${why}`, {
      file: "manifest.json",
    });
  let manifest: unknown;
  try {
    manifest = JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw corrupt(shown((error as Error).message, 200));
  }
  if (!isObject(manifest) || !areEntries(manifest.files) || !areEntries(manifest.shards))
    throw corrupt("it is not a pack's manifest");
  const { name, files, shards } = manifest;
  return { name: typeof name === "string" ? name : "a model without a name", files, shards };
}
