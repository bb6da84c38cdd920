// A model's files for the engine: fetched by ranges, kept by hash, verified before anything of them
// is used.
//
// The engine may read while files still arrive: `read` waits for its file, so weights go to the
// device as they come.

import { type Blobs, type Part, sha256 } from "./blobs";
import { EngineError } from "./errors";
import { type Entry, type Manifest, areEntries, parseManifest } from "./manifest";
import type { Progress } from "./messages";
import { Unreachable, fetchManifest, request } from "./network";

/** What is remembered of a pack: under its manifest's address, beside the files. */
export interface Remembered {
  url: string;
  name: string;
  /** SHA-256 of the manifest, which is kept like any other file. */
  manifest: string;
  files: Entry[];
  /**
   * A newer version on its way: what has arrived of it stays, and takes this one's place when it is
   * complete.
   */
  next?: { manifest: string; files: Entry[] };
}

/** Tries after a broken connection before it counts as gone, and the pauses between them. */
const RETRY_MS = [300, 1000, 2000];

/** While it counts as gone: the first pause and the longest; each is twice the one before. */
const [AWAY_MS, MOST_AWAY_MS] = [2000, 60_000];

/** Answers that may be better soon: too slow, asked too much, or in trouble of its own. */
const isPassing = (status: number) => status === 408 || status === 429 || status >= 500;

const recordName = async (url: string) => `pack-${await sha256(new TextEncoder().encode(url))}`;

/** The packs that are remembered, a small file for each: the page reads them too. */
export async function remembered(blobs: Blobs): Promise<Remembered[]> {
  const packs: Remembered[] = [];
  for (const { name } of await blobs.names()) {
    if (!name.startsWith("pack-") || name.endsWith(".part")) continue;
    const text = await (await blobs.open(name))?.text();
    if (text === undefined) continue; // just being replaced
    const pack = readRecord(text);
    if (pack) packs.push(pack);
    // Cut off while it was written, or of another version: its files are fetched again.
    else await blobs.remove(name);
  }
  return packs;
}

function readRecord(text: string): Remembered | undefined {
  try {
    const pack = JSON.parse(text) as Partial<Remembered> | null;
    const sound = (version: Remembered["next"]) =>
      typeof version?.manifest === "string" && areEntries(version.files);
    if (
      typeof pack?.url !== "string" ||
      typeof pack.name !== "string" ||
      !sound(pack as Remembered)
    )
      return undefined;
    return pack.next === undefined || sound(pack.next) ? (pack as Remembered) : undefined;
  } catch {
    return undefined;
  }
}

async function write(blobs: Blobs, name: string, bytes: Uint8Array): Promise<void> {
  const part = await blobs.part(name);
  part.truncate();
  part.append(bytes);
  part.close();
  await blobs.remove(name);
  await blobs.finish(name);
}

/** Removes a pack and the files that no other pack shares. */
export async function forget(blobs: Blobs, url: string): Promise<void> {
  await blobs.remove(await recordName(url));
  await prune(blobs);
}

/** Removes files that belong to no remembered pack. */
async function prune(blobs: Blobs): Promise<void> {
  const wanted = new Set<string>();
  for (const { manifest, files, next } of await remembered(blobs))
    for (const name of [
      manifest,
      next?.manifest,
      ...[...files, ...(next?.files ?? [])].map(f => f.sha256),
    ])
      if (name) wanted.add(name);
  for (const { name } of await blobs.names())
    if (!name.startsWith("pack-") && !wanted.has(name.replace(/\.part$/, "")))
      await blobs.remove(name);
}

/** A pack at an address. */
export class PackStore {
  /** The engine need not hash what is handed out here. */
  readonly verified = true;
  private readonly entries: Entry[];
  private readonly ready = new Map<string, Promise<Blob>>();
  private abort = new AbortController();
  private paused = false;
  private wake = () => {};
  private done = 0;
  /** A complete version: this one takes its place once it is complete itself. */
  private before: Remembered | undefined;
  /** Everything is here and remembered. */
  whole: Promise<unknown> = Promise.resolve();
  /** What ended the download; the engine's own error would say less. */
  failure: EngineError | undefined;

  private constructor(
    private readonly url: string,
    private readonly blobs: Blobs,
    private readonly manifestText: Uint8Array,
    private readonly manifest: Manifest,
    private readonly tell: (progress: Progress) => void,
  ) {
    this.entries = [...manifest.files, ...manifest.shards];
    self.addEventListener("online", () => this.wake());
  }

  /** Opens the pack: from storage if it is there, else from the network. */
  static async open(
    url: string,
    blobs: Blobs,
    refresh: boolean,
    tell: (progress: Progress) => void,
  ): Promise<PackStore> {
    const known = (await remembered(blobs)).find(pack => pack.url === url);
    const kept = known && (await blobs.open(known.manifest));
    if (kept && !refresh) {
      const text = new Uint8Array(await kept.arrayBuffer());
      if ((await sha256(text)) === known.manifest)
        return new PackStore(url, blobs, text, parseManifest(text, url), tell);
    }
    const text = await fetchManifest(url);
    const store = new PackStore(url, blobs, text, parseManifest(text, url), tell);
    const files = await Promise.all((known?.files ?? []).map(file => blobs.open(file.sha256)));
    if (kept && files.every(file => file !== undefined)) store.before = known;
    await store.keepManifest(store.before);
    return store;
  }

  /** Remembers the pack; with `before` as what comes after that. */
  private async keepManifest(before?: Remembered): Promise<void> {
    const manifest = await sha256(this.manifestText);
    await write(this.blobs, manifest, this.manifestText);
    const own = { manifest, files: this.entries };
    const record: Remembered = before
      ? { ...before, next: own }
      : { url: this.url, name: this.manifest.name, ...own };
    await write(
      this.blobs,
      await recordName(this.url),
      new TextEncoder().encode(JSON.stringify(record)),
    );
    await prune(this.blobs);
  }

  /** Bytes in all, and those not yet here. */
  async sizes(): Promise<{ total: number; missing: number }> {
    let [total, missing] = [0, 0];
    for (const entry of this.entries) {
      total += entry.bytes;
      if (await this.blobs.open(entry.sha256)) continue;
      missing += Math.max(0, entry.bytes - (await this.blobs.partSize(entry.sha256)));
    }
    return { total, missing };
  }

  /**
   * Verifies what is stored and fetches what is missing, file by file, in the order the engine
   * reads them.
   */
  start(): void {
    let before: Promise<unknown> = Promise.resolve();
    for (const [index, entry] of this.entries.entries()) {
      const here = before.then(() => this.obtain(entry, index));
      here.catch(error => (this.failure ??= EngineError.from(error)));
      this.ready.set(entry.file, here);
      before = here;
    }
    this.whole = this.before ? before.then(() => this.keepManifest()) : before;
    this.whole.catch(() => undefined);
  }

  pause(): void {
    this.paused = true;
    this.abort.abort();
  }

  resume(): void {
    this.paused = false;
    this.wake();
  }

  private total(): number {
    return this.entries.reduce((sum, entry) => sum + entry.bytes, 0);
  }

  private async obtain(entry: Entry, index: number): Promise<Blob> {
    const count = this.entries.length;
    const stored = await this.blobs.open(entry.sha256);
    if (stored) {
      this.tell({
        phase: "verifying",
        done: this.done,
        total: this.total(),
        file: entry.file,
        index,
        count,
      });
      if ((await sha256(await stored.arrayBuffer())) === entry.sha256) {
        this.done += entry.bytes;
        return stored;
      }
      this.tell({ phase: "bad-shard", file: entry.file });
      await this.blobs.remove(entry.sha256);
    }
    await this.download(entry, index);
    this.tell({
      phase: "verifying",
      done: this.done,
      total: this.total(),
      file: entry.file,
      index,
      count,
    });
    const whole = await this.blobs.read(entry.sha256);
    if ((await sha256(await whole.arrayBuffer())) !== entry.sha256) {
      await this.blobs.remove(`${entry.sha256}.part`);
      throw new EngineError(
        "bad-shard",
        `${entry.file} does not match its SHA-256; it is not used`,
        { file: entry.file },
      );
    }
    await this.blobs.finish(entry.sha256);
    this.done += entry.bytes;
    const blob = await this.blobs.open(entry.sha256);
    if (!blob) throw new EngineError("storage-full", `${entry.file} was stored and is gone again`);
    return blob;
  }

  /** Fetches what is missing of a file, however often the connection breaks. */
  private async download(entry: Entry, index: number): Promise<void> {
    const part = await this.blobs.part(entry.sha256);
    try {
      if (part.size() > entry.bytes) part.truncate();
      for (let [broken, away] = [0, AWAY_MS]; part.size() < entry.bytes; ) {
        if (this.failure) throw this.failure;
        const [before, done] = [part.size(), this.done];
        if (this.paused) {
          this.tell({ phase: "paused", done: done + before, total: this.total() });
          await new Promise<void>(wake => (this.wake = wake));
          continue;
        }
        try {
          await this.fetchInto(entry, part, index);
          if (part.size() <= before) throw new Error("the server sent nothing new");
        } catch (error) {
          if (error instanceof EngineError && error.code === "storage-full")
            throw new EngineError(error.code, error.message, {
              need: (await this.sizes()).missing,
            });
          if (error instanceof EngineError && !(error instanceof Unreachable)) throw error;
          if (this.paused || this.failure) continue;
          if (part.size() > before) [broken, away] = [0, AWAY_MS];
          if (broken < RETRY_MS.length && navigator.onLine) {
            await new Promise(wake => setTimeout(wake, RETRY_MS[broken++]));
            continue;
          }
          const reason =
            navigator.onLine && new URL(this.url).origin !== self.location.origin
              ? "cross-origin"
              : String(error);
          this.tell({
            phase: "offline",
            done: done + part.size(),
            total: this.total(),
            reason,
            retryMs: away,
          });
          if (await this.woken(away)) [broken, away] = [0, AWAY_MS];
          else away = Math.min(2 * away, MOST_AWAY_MS);
        }
      }
    } finally {
      part.close();
    }
  }

  /** Waits so long; true, and sooner, if somebody presses the button or the network is back. */
  private woken(ms: number): Promise<boolean> {
    return new Promise(wake => {
      const timer = setTimeout(() => wake(false), ms);
      this.wake = () => (clearTimeout(timer), wake(true));
    });
  }

  private async fetchInto(entry: Entry, part: Part, index: number): Promise<void> {
    this.abort = new AbortController();
    const start = part.size();
    const headers: HeadersInit = start > 0 ? { range: `bytes=${start}-${entry.bytes - 1}` } : {};
    const response = await request(new URL(entry.file, this.url), {
      headers,
      signal: this.abort.signal,
      cache: "no-store",
    });
    if (response.status === 416)
      throw new EngineError("bad-shard", `${entry.file} is shorter than its manifest says`, {
        file: entry.file,
      });
    if (!response.ok) void response.body?.cancel();
    if (isPassing(response.status)) throw new Error(`the server answered ${response.status}`);
    if (!response.ok || !response.body)
      throw new EngineError("network", `${entry.file}: the server answered ${response.status}`);
    // A server without ranges sends all of it again.
    if (start > 0 && response.status !== 206) part.truncate();
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (part.size() + value.length > entry.bytes) {
        part.truncate();
        throw new EngineError("bad-shard", `${entry.file} is longer than its manifest says`, {
          file: entry.file,
        });
      }
      part.append(value);
      const arrived = this.done + part.size();
      const count = this.entries.length;
      this.tell({
        phase: "downloading",
        done: arrived,
        total: this.total(),
        file: entry.file,
        index,
        count,
      });
    }
  }

  // What the engine calls: see `Store` in web/src/store.rs.

  async size(name: string): Promise<number | undefined> {
    if (name === "manifest.json") return this.manifestText.length;
    return this.entries.find(entry => entry.file === name)?.bytes;
  }

  async read(name: string, start: number, end: number): Promise<Uint8Array> {
    if (name === "manifest.json") return this.manifestText.slice(start, end);
    const blob = await this.ready.get(name);
    if (!blob) throw new EngineError("model-missing", `the manifest lists no ${name}`);
    return new Uint8Array(await blob.slice(start, end).arrayBuffer());
  }
}

/** Files from disk: a pack's or a checkpoint's. Nothing is copied. */
export class FileStore {
  failure: EngineError | undefined;
  private readonly files = new Map<string, File>();

  constructor(files: File[]) {
    for (const file of files) {
      // A chosen folder gives `folder/name`, chosen files just their names.
      const path = file.webkitRelativePath
        ? file.webkitRelativePath.split("/").slice(1).join("/")
        : file.name;
      this.files.set(path, file);
    }
  }

  async size(name: string): Promise<number | undefined> {
    return this.files.get(name)?.size;
  }

  async read(name: string, start: number, end: number): Promise<Uint8Array> {
    const file = this.files.get(name);
    if (!file) throw new EngineError("model-missing", `${name} is not among the chosen files`);
    return new Uint8Array(await file.slice(start, end).arrayBuffer());
  }

  list(folder: string): string[] {
    const start = folder && `${folder}/`;
    const names = [...this.files.keys()]
      .filter(name => name.startsWith(start))
      .map(name => name.slice(start.length));
    return names.filter(name => !name.includes("/"));
  }
}
