// Where the package's own files are: the worker's script and the WebAssembly, each beside the file
// that needs it, or where the caller says.

import { EngineError } from "./errors";
import type { Sharing } from "./messages";
import { plainAddress } from "./network";
import { serverWorker } from "./server";

export interface Places {
  /**
   * The folder of `worker.js` and `mqt_web_bg.wasm`, with its last slash or without; relative to
   * the page. For bundlers that leave these files where they are, and for servers elsewhere.
   */
  baseUrl?: string | URL;
  /** The worker's script, instead of `worker.js` in `baseUrl`. */
  workerUrl?: string | URL;
  /** The WebAssembly, instead of `mqt_web_bg.wasm` in `baseUrl`. */
  wasmUrl?: string | URL;
  /** Where `mqt serve --open` answers: that program computes, and its model is asked. */
  server?: string | URL;
}

function address(own: string | URL | undefined, base: Places["baseUrl"], name: string) {
  try {
    if (own !== undefined) return new URL(own, document.baseURI);
    if (base === undefined) return undefined;
    return new URL(name, new URL(String(base).replace(/\/*$/, "/"), document.baseURI));
  } catch {
    throw new EngineError("invalid-setting", `${own ?? base} is no address`, { what: "baseUrl" });
  }
}

/** Where the worker fetches the WebAssembly; `undefined`: beside its own script. */
export const wasmAddress = ({ wasmUrl, baseUrl }: Places): string | undefined =>
  address(wasmUrl, baseUrl, "mqt_web_bg.wasm")?.href;

/** Where the worker's script should be, in words. */
export function workerPlace({ workerUrl, baseUrl, server }: Places): string {
  const url = server === undefined ? address(workerUrl, baseUrl, "worker.js") : server;
  return url === undefined
    ? "the engine's worker.js, beside the script that loads it, cannot be fetched; " +
        "where it lies elsewhere, `baseUrl` names its folder"
    : `${plainAddress(url)} cannot be fetched as the engine's worker; is the address right?`;
}

/** Starts the worker. A script on another server is imported by one of this page's own. */
export function startWorker({ workerUrl, baseUrl, server }: Places): Worker {
  if (server !== undefined) return serverWorker(new URL(server, document.baseURI));
  const url = address(workerUrl, baseUrl, "worker.js");
  if (url)
    return url.origin === location.origin
      ? new Worker(url, { type: "module", name: "mqt" })
      : importing(url);
  try {
    // Bundlers look for exactly this expression.
    return new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: "mqt" });
  } catch (error) {
    if ((error as DOMException)?.name !== "SecurityError") throw error;
    // Not that expression again: a bundler would copy the script once more.
    const here: string = import.meta.url;
    return importing(new URL("worker.js", here));
  }
}

function importing(url: URL): Worker {
  const script = new Blob([`import ${JSON.stringify(url.href)};`], { type: "text/javascript" });
  const own = URL.createObjectURL(script);
  const worker = new Worker(own, { type: "module", name: "mqt" });
  // Once something comes from it, or fails, it has been read.
  const forget = () => URL.revokeObjectURL(own);
  worker.addEventListener("message", forget, { once: true });
  worker.addEventListener("error", forget, { once: true });
  return worker;
}

/** The engine of this page that holds the lock on the stored models: one is enough for a page. */
let holder: { ended: Promise<never>; loaded: Promise<unknown> } | undefined;

/**
 * Loads a stored model beside other engines of this page: those after the first ask for no lock,
 * and load one after the other, so that none fetches what another is just fetching. `ended` rejects
 * when the engine is gone.
 */
export function beside<T>(
  sharing: Sharing,
  ended: Promise<never>,
  load: (sharing: Sharing) => Promise<T>,
): Promise<T> {
  if (sharing === "beside") return load(sharing);
  if (sharing === "try" && holder) {
    const loaded = holder.loaded.then(() => load("beside"));
    holder.loaded = Promise.race([loaded, ended]).catch(() => undefined);
    return loaded;
  }
  const loaded = load(sharing);
  const mine = { ended, loaded: Promise.race([loaded, ended]).catch(() => undefined) };
  holder = mine;
  ended.catch(() => {
    if (holder === mine) holder = undefined;
  });
  return loaded;
}
