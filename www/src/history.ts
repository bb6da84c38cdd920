// The last conversation, kept over a reload: on this device only, until it is cleared. The pictures
// and the answers, as they are; nothing is kept if the person switched that off.

import type { Answer } from "mqt-web";
import type { Picture } from "./actions";
import { log } from "./dom";

const [DATABASE, STORE, KEY] = ["mqt-history", "conversations", "last"];
/** Where it is noted that nothing shall be kept. */
const OFF = "mqt-history-off";
/** A conversation about larger pictures is not kept. */
const MOST_BYTES = 100_000_000;

/** One question with several m: its answers, in the order of the columns. */
export interface Compared {
  question: string;
  answers: Answer[];
  /** How many turns it was asked after, and after how many of them it stands. */
  turns: number;
  above: number;
}

export interface Kept {
  pictures: Pick<Picture, "blob" | "name" | "turn">[];
  answers: Answer[];
  comparisons: Compared[];
}

/** A conversation in storage: each picture lies there by itself, so that it is written once. */
interface Stored {
  pictures: { key: string; name: string; turn: number }[];
  answers: Answer[];
  /** None, as it was stored when only answers were. */
  comparisons?: Compared[];
}

/** Under which key a picture is stored. */
const keys = new WeakMap<Blob, string>();

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
  work: (store: IDBObjectStore) => Promise<T>,
): Promise<T | undefined> {
  try {
    const open = indexedDB.open(DATABASE, 1);
    open.onupgradeneeded = () => open.result.createObjectStore(STORE);
    const database = await settled(open);
    try {
      return await work(database.transaction(STORE, mode).objectStore(STORE));
    } finally {
      database.close();
    }
  } catch (error) {
    log(`history: ${(error as Error).message}`);
    return undefined;
  }
}

/** Another key for each picture, in whichever tab. */
let made = 0;
const newKey = () => `picture-${Date.now()}-${made++}`;

export async function keep(
  pictures: Picture[],
  answers: Answer[],
  comparisons: Compared[],
): Promise<void> {
  if (!isOn()) return;
  const bytes = pictures.reduce((sum, { blob }) => sum + blob.size, 0);
  if (bytes > MOST_BYTES) return clear();
  const listed = pictures.map(({ blob, name, turn }) => {
    const key = keys.get(blob) ?? newKey();
    keys.set(blob, key);
    return { key, name, turn, blob };
  });
  await inStore("readwrite", async store => {
    const there = (await settled(store.getAllKeys())) as string[];
    for (const { key, blob } of listed) if (!there.includes(key)) store.put(blob, key);
    for (const key of there)
      if (key !== KEY && !listed.some(other => other.key === key)) store.delete(key);
    const kept: Stored = {
      pictures: listed.map(({ key, name, turn }) => ({ key, name, turn })),
      answers,
      comparisons,
    };
    await settled(store.put(kept, KEY));
  });
}

const isAnswer = (a?: Answer) =>
  a?.schema === "mqt.answer/1" && Array.isArray(a.tokenIds) && Array.isArray(a.images);

const isCompared = (c?: Compared) =>
  typeof c?.question === "string" && c.answers?.length > 0 && c.answers.every(isAnswer);

/** What was kept, if it is what this version of the page keeps. */
export async function read(): Promise<Kept | undefined> {
  if (!isOn()) return undefined;
  return inStore("readonly", async store => {
    const kept: (Stored & { picture?: Blob; name?: string }) | undefined = await settled(
      store.get(KEY),
    );
    // As it was stored when a conversation had one picture.
    if (kept?.picture instanceof Blob && kept.answers?.every?.(isAnswer)) {
      const { picture: blob, name = "", answers } = kept;
      return { pictures: [{ blob, name, turn: 0 }], answers, comparisons: [] };
    }
    const good =
      Array.isArray(kept?.pictures) &&
      kept.pictures.length > 0 &&
      Array.isArray(kept.answers) &&
      kept.answers.every(isAnswer);
    if (!good) return undefined;
    const pictures: Kept["pictures"] = [];
    for (const { key, name, turn } of kept.pictures) {
      const blob: unknown = await settled(store.get(key));
      if (!(blob instanceof Blob)) return undefined;
      keys.set(blob, key);
      pictures.push({ blob, name, turn });
    }
    const { answers, comparisons = [] } = kept;
    return { pictures, answers, comparisons: comparisons.filter(isCompared) };
  });
}

export async function clear(): Promise<void> {
  await inStore("readwrite", store => settled(store.clear()));
}
