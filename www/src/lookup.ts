// What a model at an address would take, found out by its manifest alone.

import { fetchManifest, parseManifest, shown, storedBytes, storedPacks } from "mqt-web";

export interface Found {
  /** SHA-256 of the manifest. */
  sha256: string;
  name: string;
  /** Bytes in all, and those that are not yet here. */
  total: number;
  missing: number;
}

/** Fetches a pack's manifest. */
export async function look(url: string): Promise<Found> {
  const manifest = await fetchManifest(url);
  const { name, files, shards } = parseManifest(manifest, url);
  // Over an insecure connection there is no digest; loading says so.
  const digest = crypto.subtle
    ? new Uint8Array(await crypto.subtle.digest("SHA-256", manifest))
    : new Uint8Array();
  const sha256 = [...digest].map(byte => byte.toString(16).padStart(2, "0")).join("");
  const stored = await storedBytes();
  const all = [...files, ...shards];
  const total = all.reduce((sum, file) => sum + file.bytes, 0);
  const here = all.reduce(
    (sum, file) => sum + Math.min(file.bytes, stored.get(file.sha256) ?? 0),
    0,
  );
  return { sha256, name: shown(name, 100), total, missing: total - here };
}

export interface Update {
  /** Bytes that are not yet here. */
  bytes: number;
}

/** A manifest at `url` other than the one with that hash. */
export async function findUpdate(url: string, sha256: string): Promise<Update | undefined> {
  const found = await look(url);
  const isStored = (await storedPacks()).some(pack => pack.url === url);
  return found.sha256 === sha256 || !isStored ? undefined : { bytes: found.missing };
}
