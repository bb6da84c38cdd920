// What can be done on the page, and what it knows. main.ts hands it in, so that the parts that draw
// do not import the part that acts: there is no circle of imports (`vite.config.ts` checks that).

import type { Answer, Engine, Keep, Loading, Turn, View } from "mqt-web";
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
  /** The browser decoded it, because the engine cannot. */
  redrawn?: boolean;
  /** What was there before, until the engine has read this one. */
  before?: Before;
}

/** A picture and the conversation about it, to go back to. */
export interface Before {
  picture: Picture | undefined;
  turns: Turn[];
  /** Puts the cards back as they were. */
  restore: () => void;
}

/** An answer, the picture's hash, and what was set then. */
export interface Recorded {
  answer: Answer;
  picture: string;
  settings: Sampling;
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
}

/** Another model, or the same one on another device. */
export interface Change {
  model?: Loadable;
  adapter?: string;
  context?: number;
  refresh?: boolean;
  keep?: Keep;
}

export type Panel = "models" | "storage" | "settings" | "benchmark" | "diagnostics" | "about";

export interface Page {
  readonly engine: Engine | undefined;
  readonly loading: Loading | undefined;
  readonly model: Loadable;
  readonly adapter: string;
  readonly context: number;
  readonly seen: Probe | undefined;
  readonly picture: Picture | undefined;
  readonly turns: Turn[];
  readonly records: Recorded[];
  readonly isWaiting: boolean;
  /** Calls `listener` when the model, the picture or the conversation changed. */
  onChange(listener: () => void): void;
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
  attach(blob: Blob, name: string): Promise<void>;
  prepare(): Promise<void>;
  instruct(): Promise<void>;
  /** `isTyped`: it came from the box, where the last one may have been put to be changed. */
  ask(question: string, isTyped?: boolean): Promise<void>;
  /** The last question again: with other image tokens, or going on from where it was stopped. */
  again(how: { tokens?: number; soFar?: number[] }): Promise<void>;
  /** Takes the last question back, to be asked in other words. */
  edit(): void;
  compare(question: string, several: number[], turns?: Turn[]): Promise<void>;
  /** Asks a question about a sample picture with several m; loads the model if there is none. */
  example(sample: number, question: string, several: number[]): Promise<void>;
  startAnew(): Promise<void>;
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
