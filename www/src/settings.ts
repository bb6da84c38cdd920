// What the address says and what the Settings dialog holds.
// `?model=URL&adapter=cpu&tokens=N&seed=N` opens the page in a certain way;
// `#m=16&seed=7&temperature=0.8` is what *Copy link* gives: settings only, never a picture or a
// question.

import { DEFAULTS, EngineError, type Select, webAddress } from "mqt-web";

const query = new URLSearchParams(location.search);
let hash = new URLSearchParams(location.hash.slice(1));

export interface Sampling {
  temperature: number;
  topP: number;
  /** 0: no limit. */
  topK: number;
  repetitionPenalty: number;
  maxNewTokens: number;
  seed: number;
  stop: string[];
  /** What opens the conversation; empty: what the model was trained with. */
  system: string;
  /** What *Auto* aims for: milliseconds to the first token. */
  targetMs: number;
  /** How image tokens are chosen; empty: in the model's own way. */
  select: Select | "";
}

/** The ways there are, in the words of a link. */
const SELECTS: Select[] = ["nested", "spread", "pool", "random"];
/** Where what somebody chose is remembered, in the words of a link. */
const KEPT = "mqt-settings";

const way = (text: string | null): Select | "" => SELECTS.find(known => known === text) ?? "";

function remembered(): URLSearchParams {
  try {
    return new URLSearchParams(localStorage.getItem(KEPT) ?? "");
  } catch {
    return new URLSearchParams();
  }
}

/** Remembers settings over a reload; `undefined` forgets them. */
function remember(said: URLSearchParams | undefined): void {
  try {
    if (said?.size) localStorage.setItem(KEPT, said.toString());
    else localStorage.removeItem(KEPT);
  } catch {
    // They hold until the page is left.
  }
}

/** On a phone one waits longer. */
const isPhone = matchMedia("(pointer: coarse) and (max-width: 860px)").matches;

const usual: Sampling = {
  temperature: DEFAULTS.temperature,
  topP: DEFAULTS.topP,
  topK: DEFAULTS.topK,
  repetitionPenalty: DEFAULTS.repetitionPenalty,
  maxNewTokens: DEFAULTS.maxNewTokens,
  seed: DEFAULTS.seed,
  stop: [],
  system: "",
  targetMs: isPhone ? 2 * DEFAULTS.targetMs : DEFAULTS.targetMs,
  select: "",
};

type Numbers = Exclude<keyof Sampling, "stop" | "system" | "select">;

/**
 * Names in a link, and what a number may be there; the dialog's fields have the same limits and any
 * step.
 */
const NAMES: Record<Numbers, { name: string; least: number; most: number; whole?: boolean }> = {
  temperature: { name: "temperature", least: 0, most: 2 },
  topP: { name: "top_p", least: 0.05, most: 1 },
  topK: { name: "top_k", least: 0, most: 1000, whole: true },
  repetitionPenalty: { name: "repetition_penalty", least: 0.5, most: 2 },
  maxNewTokens: { name: "max_new_tokens", least: 1, most: 2048, whole: true },
  seed: { name: "seed", least: 0, most: Number.MAX_SAFE_INTEGER, whole: true },
  targetMs: { name: "target_ms", least: 100, most: 60_000 },
};

const nameOf = (key: keyof Sampling): string => (key in NAMES ? NAMES[key as Numbers].name : key);

/** Whether a link says any setting. */
const isLinked = (link: URLSearchParams): boolean =>
  Object.keys(usual).some(key => link.has(nameOf(key as keyof Sampling)));

/** Longer ones are no settings: somebody pasted a book. */
const LONGEST = 4000;

function number(from: URLSearchParams, name: string): number | undefined {
  const text = from.get(name);
  const value = text === null || text.trim() === "" ? NaN : Number(text);
  return Number.isFinite(value) ? value : undefined;
}

/** The settings that a link says, or that were remembered; what makes no sense is left as usual. */
function said(): Sampling {
  const found: Sampling = { ...usual };
  const from = isLinked(hash) || query.has("seed") ? hash : remembered();
  for (const [key, { name, least, most, whole }] of Object.entries(NAMES)) {
    const value = number(from, name) ?? (name === "seed" ? number(query, name) : undefined);
    if (
      value !== undefined &&
      value >= least &&
      value <= most &&
      (!whole || Number.isInteger(value))
    )
      found[key as Numbers] = value;
  }
  const stop = from.get("stop");
  if (stop) found.stop = [stop.slice(0, LONGEST)];
  found.system = from.get("system")?.slice(0, LONGEST) ?? "";
  found.select = way(from.get("select"));
  return found;
}

/** Writes a setting as a link says it; one that is as usual is not there. */
function say(to: URLSearchParams, key: keyof Sampling): void {
  const value = key === "stop" ? now.stop[0] : now[key];
  const name = nameOf(key);
  if (value && value !== usual[key]) to.set(name, String(value));
  else if (value === 0 && usual[key] !== 0) to.set(name, "0");
  else to.delete(name);
}

let now = said();

/** The model's address that the link holds, or what is wrong with it. */
function linkedModel(): { model?: string; wrongModel?: string } {
  const text = query.get("model");
  if (!text) return {};
  try {
    return { model: webAddress(text, document.baseURI).href };
  } catch (error) {
    return { wrongModel: EngineError.from(error).message };
  }
}

export const settings = {
  ...linkedModel(),
  adapter: query.get("adapter") ?? "auto",
  arithmetic: query.get("arithmetic") === "exact" ? ("exact" as const) : ("fast" as const),
  /**
   * Image tokens as the link says them, be it a number, `auto` or nonsense; `undefined` if it says
   * nothing.
   */
  tokens: (): string | undefined => hash.get("m") ?? query.get("tokens") ?? undefined,
  /** Whether a link that was followed to the open page says them. */
  saysTokens: (): boolean => hash.has("m"),
  sampling: (): Sampling => ({ ...now }),
  /** Changes settings, and remembers these; what else a link said is not remembered. */
  change(part: Partial<Sampling>): void {
    now = { ...now, ...part };
    const kept = remembered();
    for (const key of Object.keys(part)) say(kept, key as keyof Sampling);
    remember(kept);
  },
  reset(): void {
    now = { ...usual };
    remember(undefined);
  },
};

/** Calls `listener` when somebody follows a link with settings to this open page. */
export function onLink(listener: () => void): void {
  addEventListener("hashchange", () => {
    const next = new URLSearchParams(location.hash.slice(1));
    if (!next.has("m") && !isLinked(next)) return; // a place on this page
    hash = next;
    now = said();
    listener();
  });
}

/**
 * An address that opens this page with the settings of now; `tokens`: m unless it is Auto, `model`:
 * unless it is the bundled one.
 */
export function permalink(
  tokens: number | undefined,
  model: string | undefined,
  adapter: string,
): string {
  const to = new URL(location.pathname, location.href);
  if (model) to.searchParams.set("model", model);
  if (adapter !== "auto") to.searchParams.set("adapter", adapter);
  if (settings.arithmetic !== "fast") to.searchParams.set("arithmetic", settings.arithmetic);
  const said = new URLSearchParams({
    m: tokens === undefined ? "auto" : String(tokens),
    seed: String(now.seed),
  });
  for (const key of Object.keys(usual) as (keyof Sampling)[]) if (key !== "seed") say(said, key);
  if (tokens === undefined) said.set(NAMES.targetMs.name, String(now.targetMs));
  to.hash = said.toString();
  return to.href;
}
