// What was said, kept over a reload: on this device only, until it is cleared. The pictures and the
// answers, as they are; nothing is kept if the person switched that off.

import type { Answer } from "mqt-web";
import { log } from "./dom";

const [DATABASE, STORE, KEY] = ["mqt-history", "conversations", "last"];
/** Where it is noted that nothing shall be kept. */
const OFF = "mqt-history-off";
/** Conversations about larger pictures are not kept. */
const MOST_BYTES = 100_000_000;
/** So many conversations are kept, and the newest ones. */
const MOST = 50;

/** One question with several m: its answers, in the order of the columns. */
export interface Compared {
  question: string;
  answers: Answer[];
  /** Which pictures it was about, by their places in the conversation's list. */
  about: number[];
  /** How many turns it was asked after, and after how many of them it stands. */
  turns: number;
  above: number;
  /** How many of the pictures stand above it. */
  came: number;
}

interface Conversation<P> {
  /** All that came, in the order of the prompt. */
  pictures: P[];
  answers: Answer[];
  /** Which pictures each answer was about, by their places in that list. */
  about: number[][];
  /** What each answer was refined from. */
  drafts: Answer[][];
  comparisons: Compared[];
  /** m, if the person chose it. */
  m?: number | undefined;
  /** The pictures in hand, where it is about one of several. */
  others: P[];
}

interface Came {
  name: string;
  /** How many turns had been said when it came. */
  turn: number;
  /** It was forgotten later: what was said about it stays. */
  gone: boolean;
}

export type Kept = Conversation<Came & { blob: Blob }>;

/** In storage each picture lies by itself, so that it is written once. */
type Stored = Conversation<Came & { key: string }>;

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

/** All pictures that are stored with a conversation. */
const picturesOf = <P>({ pictures, others }: Conversation<P>): P[] => [...pictures, ...others];

/** Bytes of the pictures of all these, each counted once. */
export const size = (all: Kept[]) =>
  [...new Set(all.flatMap(kept => picturesOf(kept).map(({ blob }) => blob)))].reduce(
    (sum, blob) => sum + blob.size,
    0,
  );

/** Keeps these conversations and no others; the oldest ones go if their pictures are too large. */
export async function keep(conversations: Kept[]): Promise<void> {
  if (!isOn()) return;
  let all = conversations;
  while (all.length > 1 && (size(all) > MOST_BYTES || all.length > MOST)) all = all.slice(1);
  if (size(all) > MOST_BYTES) return clear();
  const blobs = new Map<string, Blob>();
  const stored = all.map(({ pictures, others, ...said }): Stored => {
    const put = ({ blob, ...picture }: Came & { blob: Blob }) => {
      const key = keys.get(blob) ?? newKey();
      keys.set(blob, key);
      blobs.set(key, blob);
      return { ...picture, key };
    };
    return { ...said, pictures: pictures.map(put), others: others.map(put) };
  });
  await inStore("readwrite", async store => {
    const there = (await settled(store.getAllKeys())) as string[];
    for (const [key, blob] of blobs) if (!there.includes(key)) store.put(blob, key);
    for (const key of there) if (key !== KEY && !blobs.has(key)) store.delete(key);
    await settled(store.put(stored, KEY));
  });
}

const isAnswer = (a?: Answer) =>
  a?.schema === "mqt.answer/1" && Array.isArray(a.tokenIds) && Array.isArray(a.images);

const areAnswers = (answers: unknown, about: unknown[]): boolean =>
  Array.isArray(answers) && answers.every(isAnswer) && about?.length === answers.length;

const isStored = ({ pictures, others, answers, about, drafts, comparisons }: Stored) =>
  pictures.length > 0 &&
  Array.isArray(others) &&
  areAnswers(answers, about) &&
  areAnswers(drafts.flat(), drafts.flat()) &&
  comparisons.every(({ answers }) => areAnswers(answers, answers));

/** The conversations that were kept, the last one at the end; what is not readable is not there. */
export async function read(): Promise<Kept[]> {
  if (!isOn()) return [];
  const found = await inStore("readonly", async store => {
    const stored: Stored[] = await settled(store.get(KEY));
    if (!Array.isArray(stored) || !stored.every(isStored)) return [];
    const blobs = new Map<string, Blob>();
    for (const { key } of stored.flatMap(kept => picturesOf(kept))) {
      if (blobs.has(key)) continue;
      const blob: unknown = await settled(store.get(key));
      if (!(blob instanceof Blob)) return [];
      keys.set(blob, key);
      blobs.set(key, blob);
    }
    return stored.map(({ pictures, others, ...said }): Kept => {
      const put = ({ key, ...picture }: Came & { key: string }) => ({
        ...picture,
        blob: blobs.get(key)!,
      });
      return { ...said, pictures: pictures.map(put), others: others.map(put) };
    });
  });
  return found ?? [];
}

export async function clear(): Promise<void> {
  await inStore("readwrite", store => settled(store.clear()));
}
