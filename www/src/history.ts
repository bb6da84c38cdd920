// The last conversation, kept over a reload: on this device only, until it is cleared. The picture
// and the answers, as they are; nothing is kept if the person switched that off.

import type { Answer } from "mqt-web";
import type { Picture } from "./actions";
import { log } from "./dom";

const [DATABASE, STORE, KEY] = ["mqt-history", "conversations", "last"];
/** Where it is noted that nothing shall be kept. */
const OFF = "mqt-history-off";
/** A conversation about a larger picture is not kept: it is written anew with every answer. */
const MOST_BYTES = 25_000_000;

export interface Kept {
  picture: Blob;
  name: string;
  answers: Answer[];
}

export const isOn = (): boolean => {
  try {
    return localStorage.getItem(OFF) === null;
  } catch {
    return false;
  }
};

/** Switches it on, or off, which clears what there is. */
export async function turn(on: boolean): Promise<void> {
  try {
    if (on) localStorage.removeItem(OFF);
    else localStorage.setItem(OFF, "1");
  } catch (error) {
    log(`history: ${(error as Error).message}`);
  }
  if (!on) await clear();
}

const settled = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/** What a private window or a full disk does not let us keep is not kept. */
async function inStore<T>(
  mode: IDBTransactionMode,
  work: (store: IDBObjectStore) => IDBRequest<T>,
): Promise<T | undefined> {
  try {
    const open = indexedDB.open(DATABASE, 1);
    open.onupgradeneeded = () => open.result.createObjectStore(STORE);
    const database = await settled(open);
    try {
      return await settled(work(database.transaction(STORE, mode).objectStore(STORE)));
    } finally {
      database.close();
    }
  } catch (error) {
    log(`history: ${(error as Error).message}`);
    return undefined;
  }
}

export async function keep({ blob, name }: Picture, answers: Answer[]): Promise<void> {
  if (!isOn()) return;
  if (blob.size > MOST_BYTES) return clear();
  const kept: Kept = { picture: blob, name, answers };
  await inStore("readwrite", store => store.put(kept, KEY));
}

/** What was kept, if it is what this version of the page keeps. */
export async function read(): Promise<Kept | undefined> {
  if (!isOn()) return undefined;
  const kept = await inStore<Kept | undefined>("readonly", store => store.get(KEY));
  const good =
    kept?.picture instanceof Blob &&
    Array.isArray(kept.answers) &&
    kept.answers.every(a => a?.schema === "mqt.answer/1" && Array.isArray(a.tokenIds));
  return good ? kept : undefined;
}

export async function clear(): Promise<void> {
  await inStore("readwrite", store => store.clear());
}
