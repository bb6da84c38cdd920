// What was learned about the devices here, remembered between visits: which variants of kernels are
// fastest, how many pipelines each model takes, how fast it answers. A cache: without storage it is
// empty.

import type { Kernels, Learned, Speed } from "./generated";

const KEY = "mqt-kernels";
/** Another version has other kernels. The page's build says which; another one need not. */
const version = typeof __BUILD__ === "undefined" ? "" : __BUILD__.version;
/** The prompt by which two speeds of reading are compared. */
const PROMPT = 64;

const isObject = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isAllOf = (value: unknown, type: "string" | "number" | "object"): boolean =>
  isObject(value) && Object.values(value).every(entry => typeof entry === type);

/** Whatever else lies under the key was not written by this version. */
const isKernels = (value: unknown): value is Kernels =>
  isObject(value) &&
  Object.values(value).every(
    (learned: Partial<Learned>) =>
      isObject(learned) &&
      isAllOf(learned.variants, "string") &&
      isAllOf(learned.pipelines, "number") &&
      isAllOf(learned.speeds, "object"),
  );

export function read(): Kernels {
  try {
    const stored = JSON.parse(localStorage.getItem(KEY) ?? "{}") as Record<string, unknown>;
    return stored.version === version && isKernels(stored.adapters) ? stored.adapters : {};
  } catch {
    return {};
  }
}

const firstToken = (speed: Speed) =>
  speed.prefillMs + PROMPT * (speed.prefillMsPerToken ?? Infinity);

/** The better of two speeds in each part, since a busy machine only makes them worse. */
function better(a: Speed, b: Speed): Speed {
  const least = (a: number | null, b: number | null) => Math.min(a ?? Infinity, b ?? Infinity);
  return {
    ...(firstToken(a) < firstToken(b) ? a : b),
    encodeMs: least(a.encodeMs, b.encodeMs),
    decodeMsPerToken: least(a.decodeMsPerToken, b.decodeMsPerToken),
  };
}

/** Adds what was learned to what is known. */
export function remember(news: Kernels): void {
  const adapters = read();
  for (const [adapter, { variants, pipelines, speeds }] of Object.entries(news)) {
    const known = (adapters[adapter] ??= { variants: {}, pipelines: {}, speeds: {} });
    Object.assign(known.variants, variants);
    Object.assign(known.pipelines, pipelines);
    for (const [key, speed] of Object.entries(speeds)) {
      const before = known.speeds[key];
      known.speeds[key] = before ? better(before, speed) : speed;
    }
  }
  try {
    localStorage.setItem(KEY, JSON.stringify({ version, adapters }));
  } catch {
    // No storage: measured again next time.
  }
}

/** What the speed of the model in use is filed under, if it was measured. */
export const speed = (learned: Kernels): string | undefined =>
  Object.values(learned).flatMap(({ speeds }) => Object.keys(speeds))[0];

/** Whether a speed is known of two devices. */
export const isCompared = (key: string): boolean =>
  Object.values(read()).filter(({ speeds }) => key in speeds).length > 1;
