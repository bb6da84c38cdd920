// What is asked of servers: which addresses may be asked, answers of bounded size, and why there is
// none.

import { EngineError } from "./errors";
import { shown } from "./shown";

/** A pack's manifest: about 150 bytes for each tensor. The library has the same limit. */
const MOST_MANIFEST_BYTES = 8 << 20;

/** How long the report of a refused address may come after the refusal. */
const REPORT_MS = 50;

/** An address to show: without name and password, and without what follows a `?`. */
export function plainAddress(url: string | URL): string {
  if (!URL.canParse(url)) return shown(String(url), 200);
  const { origin, host, protocol, pathname, search } = new URL(url);
  return shown(
    `${origin === "null" ? `${protocol}//${host}` : origin}${pathname}${search && "?…"}`,
    200,
  );
}

/**
 * The address in `text`, relative to `base`. Throws what is wrong with it, without repeating a
 * password.
 */
export function webAddress(text: string, base?: string): URL {
  const refuse = (why: string) => new EngineError("invalid-setting", why);
  if (!URL.canParse(text, base)) throw refuse(`“${shown(text, 200)}” is not an address`);
  const url = new URL(text, base);
  if (!/^https?:$/.test(url.protocol))
    throw refuse(
      `“${shown(url.protocol, 200)}” is not a kind of address to fetch from: it begins with https:// or http://`,
    );
  if (url.username || url.password)
    throw refuse(
      `an address with a name or a password in it is not fetched; ${url.host} has to let everyone read the file`,
    );
  return url;
}

/** There is no answer at all: another try may get one. */
export class Unreachable extends EngineError {}

/**
 * As `fetch`; what it throws says why there is no answer. An answer must not lead from https to
 * somewhere without.
 */
export async function request(address: string | URL, init: RequestInit = {}): Promise<Response> {
  const url = webAddress(String(address));
  const insecure = () =>
    new EngineError(
      "network",
      `${plainAddress(url)} is, or leads on to, an address without https: it is not fetched`,
    );
  let refused = false;
  const note = (event: Event) =>
    (refused ||= (event as SecurityPolicyViolationEvent).effectiveDirective === "connect-src");
  self.addEventListener("securitypolicyviolation", note);
  try {
    const response = await fetch(url, init);
    if (url.protocol !== "https:" || !response.url || response.url.startsWith("https:"))
      return response;
    void response.body?.cancel();
    throw insecure();
  } catch (error) {
    const { name, message } = error as Error;
    if (error instanceof EngineError || name === "AbortError" || name === "TimeoutError")
      throw error;
    await new Promise(wake => setTimeout(wake, REPORT_MS));
    if (refused) throw insecure();
    const foreign = url.origin !== self.location.origin;
    const hint = foreign
      ? "; if you are online, that server does not allow other pages to read it (CORS)"
      : "";
    throw new Unreachable("network", `${plainAddress(url)} cannot be fetched: ${message}${hint}`);
  } finally {
    self.removeEventListener("securitypolicyviolation", note);
  }
}

/**
 * The whole answer, if it has at most `most` bytes: a server need not say how many it sends, nor
 * tell the truth.
 */
export async function readAtMost(
  response: Response,
  most: number,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const stop = () => void response.body?.cancel().catch(() => undefined);
  if (Number(response.headers.get("content-length")) > most) return (stop(), undefined);
  const reader = response.body?.getReader();
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
    if (done) break;
    bytes += value.length;
    if (bytes > most) return (void (await reader?.cancel().catch(() => undefined)), undefined);
    pieces.push(value);
  }
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/** The bytes of a pack's manifest. */
export async function fetchManifest(url: string): Promise<Uint8Array<ArrayBuffer>> {
  const response = await request(url, { cache: "no-store" });
  if (!response.ok) {
    const folder = /\.json$/.test(new URL(url).pathname)
      ? ""
      : "; give the address of a pack's manifest.json";
    const message = `${plainAddress(url)}: the server answered ${response.status}${folder}`;
    throw new EngineError("network", message);
  }
  let bytes;
  try {
    bytes = await readAtMost(response, MOST_MANIFEST_BYTES);
  } catch (error) {
    throw new EngineError("network", `${plainAddress(url)} broke off: ${(error as Error).message}`);
  }
  if (!bytes)
    throw new EngineError(
      "model-corrupt",
      `what ${plainAddress(url)} sends is too large for a pack's manifest`,
      { file: "manifest.json" },
    );
  return bytes;
}
