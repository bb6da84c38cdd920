// What can be done on the page, and what it knows. main.ts hands it in, so that the parts that draw
// do not import the part that acts: there is no circle of imports (`vite.config.ts` checks that).

import type { Answer, Engine, Keep, Loading, LookedAt, Turn, View } from "mqt-web";
import type { Sampling } from "./settings";
import type { Probe } from "./webgpu";

export interface Loadable {
  /** A manifest's address, or files from disk. */
  from: string | File[];
  name: string;
}

export interface Picture {
  blob: Blob;
  name: string;
  /** An address for `img`. */
  url: string;
  view?: View;
  /** How many turns had been said when it came: it stands before the next one. */
  turn: number;
  /** The browser decoded it, because the engine cannot. */
  redrawn?: boolean;
  /** What was there before, until the engine has read this one. */
  before?: Before;
}

/** Pictures and the conversation about them, to go back to. */
export interface Before {
  picture: Picture | undefined;
  pictures: Picture[];
  others: Picture[];
  turns: Turn[];
  /** Puts the cards back as they were. */
  restore: () => void;
}

/** An answer, the hashes of the pictures, and what was set then. */
export interface Recorded {
  answer: Answer;
  pictures: string[];
  settings: Sampling;
}

/** An answer, and what it was asked about and after. */
export interface Asked {
  question: string;
  pictures: Picture[];
  turns: Turn[];
  answer?: Answer | undefined;
}

/** How to load. */
export interface Start {
  sharing?: "try" | "wait" | "take";
  /** On whatever adapter there is. */
  force?: boolean;
  keep?: Keep;
  refresh?: boolean;
  /** Asks the browser once more what it offers. */
  probe?: boolean;
  /** The download was agreed to by a button that says how much it is, where data is to be saved. */
  agreed?: boolean;
}

/** Another model, or the same one on another device. */
export interface Change {
  model?: Loadable;
  adapter?: string;
  context?: number;
  refresh?: boolean;
  keep?: Keep;
}

/** Takes a picture: for a new conversation, or into the one there is. */
export type Put = (blob: Blob, name: string) => Promise<void>;

export type Panel = "models" | "storage" | "settings" | "benchmark" | "diagnostics" | "about";

export interface Page {
  readonly engine: Engine | undefined;
  readonly loading: Loading | undefined;
  readonly model: Loadable;
  readonly adapter: string;
  readonly context: number;
  readonly seen: Probe | undefined;
  /** Whether the processor will answer, as far as is known before loading. */
  readonly isOnProcessor: boolean;
  /** The engine whose device was compared with the other one. */
  compared: Engine | undefined;
  /** Says in the status line where the model runs, and why. */
  showPlace(): void;
  /** The one in the frame. */
  readonly picture: Picture | undefined;
  /** All that the conversation is about, in the order of the prompt. */
  readonly pictures: Picture[];
  /** The pictures in hand: those, or more of which this conversation is about one. */
  readonly album: Picture[];
  readonly turns: Turn[];
  readonly records: Recorded[];
  readonly isWaiting: boolean;
  /** Whether a picture is being encoded, and no question asked yet. */
  readonly isReading: boolean;
  /** Calls `listener` when the model, the picture or the conversation changed. */
  onChange(listener: () => void): void;
  /** Bytes of a model that is stored as a whole; else Infinity. */
  storedBytes(model?: Loadable): Promise<number>;
  isStored(model?: Loadable): Promise<boolean>;
  start(how?: Start): Promise<void>;
  switchTo(change: Change): Promise<void>;
  pauseDownload(): void;
  resumeDownload(): void;
  cancelDownload(): void;
  /** The stored model of that address was deleted. */
  deleted(url: string): void;
  abandon(): void;
  release(go: boolean): void;
  /** A picture for a new conversation. */
  attach: Put;
  /** One more picture, before the next question. */
  add: Put;
  /** Puts one of the pictures into the frame. */
  frame(picture: Picture): void;
  /** Begins a conversation about some of the pictures in hand, or about all of them again. */
  about(pictures: Picture[]): Promise<void>;
  /** Takes one of several pictures out of the conversation; what was said stays. */
  drop(picture: Picture): Promise<void>;
  prepare(): Promise<void>;
  /**
   * Lends the model to `work`, which asks it about other pictures until `signal` ends it; loads it
   * first if need be. Rejects with what went wrong, which the page has said by then.
   */
  borrow(work: (engine: Engine, signal: AbortSignal) => Promise<void>): Promise<void>;
  instruct(): Promise<void>;
  /** `isTyped`: it came from the box, where the last one may have been put to be changed. */
  ask(question: string, isTyped?: boolean): Promise<void>;
  /** The last question again: with other image tokens, or going on from where it was stopped. */
  again(how: { tokens?: number; soFar?: number[] }): Promise<void>;
  /**
   * What an answer looked at, for each of its pictures; loads the model if there is none.
   * `undefined` if it was stopped, or failed, which the page has said by then.
   */
  lookedAt(of: Asked): Promise<LookedAt[] | undefined>;
  /** Takes the last question back, to be asked in other words. */
  edit(): void;
  compare(question: string, several: number[], turns?: Turn[]): Promise<void>;
  /** Asks a question about a sample picture with several m; loads the model if there is none. */
  example(sample: number, question: string, several: number[]): Promise<void>;
  /** Begins another conversation about the same pictures; `forGood`: there is no way back. */
  startAnew(forGood?: boolean): Promise<void>;
  stop(): void;
  /** Says what a model would take; one that is stored is loaded at once. */
  offer(model: Loadable): Promise<void>;
  /** The card of the first visit. */
  welcome(): Promise<void>;
  open(panel: Panel): void;
}

export let page: Page;

/** Called once, before anything is drawn. */
export function handIn(actions: Page): void {
  page = actions;
}
