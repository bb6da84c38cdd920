// What loading and a question may be told, and what comes back meanwhile.

import type { Answer, AskSettings, Select } from "./generated";
import type { Keep, Progress, Sharing, Step } from "./messages";
import type { Places } from "./places";

export interface LookOptions {
  signal?: AbortSignal;
  /** Hears some times a second how far the work before the first token has come. */
  onStep?: (step: Step) => void;
}

export interface AskRequest extends Omit<AskSettings, "imageTokens">, LookOptions {
  question: string;
  /** A picture file, or several to be asked about together; without it those that are there. */
  image?: Blob | readonly Blob[];
  /** Image tokens of each picture; without it the measured speed decides. */
  tokens?: number;
}

/** How much of the pictures a question would take. */
export interface Budgeted {
  /** Image tokens of each picture; without it *Auto* chooses. */
  tokens?: number;
  /** How they are chosen; without it the model's own way. */
  select?: Select;
  /** Milliseconds to the first token that *Auto* aims for. */
  targetMs?: number;
}

/**
 * The pieces of an answer as they come, and all of it at the end. Once its signal is aborted, the loop
 * over the pieces ends without an error.
 */
export interface Answering extends AsyncIterable<string> {
  /**
   * The whole answer and what it took; as far as it came, if it was stopped. It rejects with
   * `cancelled` if that was before the first token.
   */
  readonly answer: Promise<Answer>;
}

export interface LoadOptions extends Places {
  onProgress?: (progress: Progress) => void;
  /** Cancels loading; what has arrived is kept. */
  signal?: AbortSignal;
  /** `auto` (default: what was measured to be fastest), `cpu`, `gpu`, or part of an adapter's name. */
  adapter?: string;
  /** `fast` (default) or `exact`. */
  arithmetic?: "fast" | "exact";
  /** Room for tokens, `DEFAULTS.context` without it; at most what the model allows. */
  context?: number;
  keep?: Keep;
  /** Keep encoded pictures as well, so that none is encoded twice; true by default. */
  pictures?: boolean;
  sharing?: Sharing;
  /** Take the manifest from the network although one is stored: an update. */
  refresh?: boolean;
}
