// What is stored, for a page that wants to show it.

import { openStorage } from "./blobs";
import type { Entry } from "./manifest";
import { forget, remembered } from "./store";

export interface StoredPack {
  url: string;
  name: string;
  /** SHA-256 of its manifest. */
  manifest: string;
  /** Bytes it takes when complete. */
  bytes: number;
  /** Bytes that are here. */
  stored: number;
  files: Entry[];
}

/** The packs in the browser's storage, complete or not. Empty where there is no storage. */
export async function storedPacks(): Promise<StoredPack[]> {
  let blobs;
  try {
    blobs = await openStorage();
  } catch {
    return [];
  }
  const sizes = await storedBytes();
  return (await remembered(blobs)).map(({ url, name, manifest, files }) => {
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    const stored = files.reduce(
      (sum, file) => sum + Math.min(file.bytes, sizes.get(file.sha256) ?? 0),
      0,
    );
    return { url, name, manifest, bytes, stored, files };
  });
}

/**
 * Bytes of every file that is stored, complete or not, by its SHA-256. Empty where there is no
 * storage.
 */
export async function storedBytes(): Promise<Map<string, number>> {
  try {
    const names = await (await openStorage()).names();
    return new Map(names.map(({ name, bytes }) => [name.replace(/\.part$/, ""), bytes]));
  } catch {
    return new Map();
  }
}

/** Removes a pack. */
export async function deletePack(url: string): Promise<void> {
  await forget(await openStorage(), url);
}
