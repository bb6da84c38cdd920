// What the address says (`?model=URL&adapter=cpu&tokens=N&seed=N`) and what the drawer holds.

const query = new URLSearchParams(location.search);

function number(name: string): number | undefined {
  const text = query.get(name);
  const value = text === null || text.trim() === "" ? NaN : Number(text);
  return Number.isFinite(value) ? value : undefined;
}

export interface Sampling {
  temperature: number;
  topP: number;
  /** 0: no limit. */
  topK: number;
  repetitionPenalty: number;
  maxNewTokens: number;
  seed: number;
  stop: string[];
  /** What *Auto* aims for: milliseconds to the first word. */
  targetMs: number;
}

/** On a phone one waits longer. */
const isPhone = matchMedia("(pointer: coarse) and (max-width: 860px)").matches;

const usual: Sampling = {
  temperature: 0,
  topP: 1,
  topK: 50,
  repetitionPenalty: 1,
  maxNewTokens: 512,
  seed: number("seed") ?? 0,
  stop: [],
  targetMs: isPhone ? 4000 : 2000,
};
let now: Sampling = { ...usual };

export const settings = {
  model: query.get("model") ? new URL(query.get("model")!, document.baseURI).href : undefined,
  adapter: query.get("adapter") ?? "auto",
  tokens: number("tokens"),
  arithmetic: query.get("arithmetic") === "exact" ? ("exact" as const) : ("fast" as const),
  sampling: (): Sampling => ({ ...now }),
  change: (part: Partial<Sampling>) => void (now = { ...now, ...part }),
};
