// Files by their SHA-256, in the browser's private file system or in memory. Complete ones carry
// the hash as their name, incomplete ones end in `.part`: a download resumes where it stopped, also
// after the page was closed.

import { EngineError } from "./errors";

/** A file that grows. */
export interface Part {
  size(): number;
  append(bytes: Uint8Array): void;
  truncate(): void;
  close(): void;
}

export interface Blobs {
  /** The complete file, if it is there. */
  open(sha256: string): Promise<Blob | undefined>;
  /** Size of the incomplete file; 0 if there is none. */
  partSize(sha256: string): Promise<number>;
  part(sha256: string): Promise<Part>;
  /** The incomplete file's content. */
  read(sha256: string): Promise<Blob>;
  /** Makes the incomplete file the complete one. */
  finish(sha256: string): Promise<void>;
  remove(sha256: string): Promise<void>;
  names(): Promise<{ name: string; bytes: number }[]>;
}

const FOLDER = "mqt-models";
/** How often, and after how many milliseconds, a file is asked for that somebody else holds. */
const [HELD_TRIES, HELD_MS] = [20, 150];

/** The folder of stored files; throws where the browser offers none (some private windows). */
export async function openStorage(): Promise<Blobs> {
  const root = await navigator.storage.getDirectory();
  return new StoredBlobs(await root.getDirectoryHandle(FOLDER, { create: true }));
}

const missing = (error: unknown) => (error as DOMException)?.name === "NotFoundError";

class StoredBlobs implements Blobs {
  constructor(private readonly folder: FileSystemDirectoryHandle) {}

  private async file(name: string): Promise<File | undefined> {
    try {
      return await (await this.folder.getFileHandle(name)).getFile();
    } catch (error) {
      if (missing(error)) return undefined;
      throw error;
    }
  }

  open(sha256: string) {
    return this.file(sha256);
  }

  async partSize(sha256: string) {
    return (await this.file(`${sha256}.part`))?.size ?? 0;
  }

  /** A worker that was just ended, here or in another tab, may hold the file for a moment. */
  private async exclusive(handle: FileSystemFileHandle): Promise<FileSystemSyncAccessHandle> {
    for (let tries = 0; ; tries++) {
      try {
        return await handle.createSyncAccessHandle();
      } catch (error) {
        if ((error as DOMException)?.name !== "NoModificationAllowedError") throw error;
        if (tries === HELD_TRIES)
          throw new EngineError("second-tab", "another tab is writing the model's files");
        await new Promise(wake => setTimeout(wake, HELD_MS));
      }
    }
  }

  async part(sha256: string): Promise<Part> {
    const handle = await this.folder.getFileHandle(`${sha256}.part`, { create: true });
    const access = await this.exclusive(handle);
    return {
      size: () => access.getSize(),
      append: bytes => {
        const at = access.getSize();
        let written = 0;
        try {
          written = access.write(bytes, { at });
        } catch (error) {
          if ((error as DOMException)?.name !== "QuotaExceededError") throw error;
        }
        if (written !== bytes.length) {
          access.truncate(at);
          throw new EngineError("storage-full", "the browser's storage is full");
        }
      },
      truncate: () => access.truncate(0),
      close: () => {
        access.flush();
        access.close();
      },
    };
  }

  async read(sha256: string) {
    return (await this.file(`${sha256}.part`)) ?? new Blob();
  }

  async finish(sha256: string) {
    const handle = await this.folder.getFileHandle(`${sha256}.part`);
    await handle.move(sha256);
  }

  async remove(name: string) {
    try {
      await this.folder.removeEntry(name);
    } catch (error) {
      if (!missing(error)) throw error;
    }
  }

  async names() {
    const all: { name: string; bytes: number }[] = [];
    for await (const handle of this.folder.values())
      if (handle.kind === "file")
        all.push({
          name: handle.name,
          bytes: (await (handle as FileSystemFileHandle).getFile()).size,
        });
    return all;
  }
}

/** The same in memory: for this visit only. */
export class MemoryBlobs implements Blobs {
  private readonly whole = new Map<string, Blob>();
  private readonly parts = new Map<string, Uint8Array[]>();

  async open(sha256: string) {
    return this.whole.get(sha256);
  }

  async partSize(sha256: string) {
    return (this.parts.get(sha256) ?? []).reduce((sum, piece) => sum + piece.length, 0);
  }

  async part(sha256: string): Promise<Part> {
    const pieces = this.parts.get(sha256) ?? [];
    this.parts.set(sha256, pieces);
    return {
      size: () => pieces.reduce((sum, piece) => sum + piece.length, 0),
      append: bytes => void pieces.push(bytes.slice()),
      truncate: () => void pieces.splice(0),
      close: () => undefined,
    };
  }

  async read(sha256: string) {
    return new Blob((this.parts.get(sha256) ?? []) as BlobPart[]);
  }

  async finish(sha256: string) {
    this.whole.set(sha256, await this.read(sha256));
    this.parts.delete(sha256);
  }

  async remove(sha256: string) {
    this.whole.delete(sha256);
    this.parts.delete(sha256.replace(/\.part$/, ""));
  }

  async names() {
    return [...this.whole].map(([name, blob]) => ({ name, bytes: blob.size }));
  }
}

export async function sha256(bytes: ArrayBuffer | Uint8Array): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as BufferSource));
  return [...digest].map(byte => byte.toString(16).padStart(2, "0")).join("");
}
