// Encoded pictures, kept in the browser's cache over a reload: those used least recently go first.

const CACHE = "pictures";
/** What all of them may take, in bytes and in number. */
const [MOST_BYTES, MOST] = [64 << 20, 256];

/** An address that no server is asked for: a cache wants one for a name. */
const address = (name: string) => new URL(`/encoded/${name}`, location.origin).href;
const size = (response?: Response) => Number(response?.headers.get("content-length") ?? 0);

/** A store as the engine wants it (`web/src/pictures.rs`). It forgets what it cannot keep. */
export class CachedPictures {
  /** Whether anything is kept, and taken from there. */
  isOn = true;

  async get(name: string): Promise<Uint8Array | undefined> {
    if (!this.isOn) return undefined;
    const cache = await caches.open(CACHE);
    const kept = await cache.match(address(name));
    if (!kept) return undefined;
    const bytes = new Uint8Array(await kept.arrayBuffer());
    // Put in again, it is the last to go.
    await this.put(name, bytes);
    return bytes;
  }

  async put(name: string, bytes: Uint8Array): Promise<void> {
    if (!this.isOn || bytes.length > MOST_BYTES) return;
    const cache = await caches.open(CACHE);
    await cache.delete(address(name));
    const headers = { "content-length": String(bytes.length) };
    await cache.put(address(name), new Response(bytes as BodyInit, { headers }));
    const names = [...(await cache.keys())].reverse();
    let room = MOST_BYTES;
    for (const [i, at] of names.entries()) {
      room -= size(await cache.match(at));
      if (i >= MOST || room < 0) await cache.delete(at);
    }
  }
}

/** How many are kept, and their bytes. */
export async function keptPictures(): Promise<{ count: number; bytes: number }> {
  try {
    const all = await (await caches.open(CACHE)).matchAll();
    return { count: all.length, bytes: all.reduce((sum, kept) => sum + size(kept), 0) };
  } catch {
    return { count: 0, bytes: 0 };
  }
}

/** Forgets all of them. */
export async function forgetPictures(): Promise<void> {
  await caches.delete(CACHE).catch(() => undefined);
}
