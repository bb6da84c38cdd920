// What the page is doing, in one word (`body[data-state]`) and one line (`role="status"`).

import { find, log } from "./dom";
import { status } from "./words";

export type State =
  | "first-visit"
  | "no-webgpu"
  | "weak-adapter"
  | "saving-data"
  | "downloading"
  | "paused"
  | "verifying"
  | "uploading"
  | "compiling"
  | "ready"
  | "encoding"
  | "answering"
  | "live"
  | "mapping"
  | "stopped"
  | "context-full"
  | "out-of-memory"
  | "device-lost"
  | "offline"
  | "storage-full"
  | "bad-shard"
  | "bad-model"
  | "internal-error"
  | "second-tab"
  | "update-available";

const WORDS: Record<State, string> = status;

/** States in which a question may be asked. */
const OPEN: State[] = ["ready", "stopped", "context-full", "update-available"];

/** States in which work is under way that Stop ends. */
const BUSY: State[] = ["encoding", "answering", "live", "mapping"];

let place = "";
let detail = "";
const listeners: ((state: State) => void)[] = [];

export const state = () => document.body.dataset.state as State;
export const isOpen = () => OPEN.includes(state());
export const isBusy = () => BUSY.includes(state());

export function onState(listener: (state: State) => void): void {
  listeners.push(listener);
}

/** Waits until the page is ready, which it may be. */
export function whenReady(): Promise<void> {
  if (state() === "ready") return Promise.resolve();
  return new Promise(ready => {
    const look = (next: State) => {
      if (next !== "ready") return;
      listeners.splice(listeners.indexOf(look), 1);
      ready();
    };
    listeners.push(look);
  });
}

/** `more` is added to the status line: a percentage, a reason. */
export function enter(next: State, more = ""): void {
  const changed = state() !== next;
  document.body.dataset.state = next;
  detail = more;
  show();
  if (!changed) return;
  log(`state ${next}${more && ` (${more})`}`);
  for (const listener of [...listeners]) listener(next);
}

/** Where the model runs and which it is: the end of the status line. */
export function setPlace(text: string): void {
  place = text;
  show();
}

function show(): void {
  // What is under way comes first: of a long line the end is cut off.
  const line = [WORDS[state()], detail, place].filter(Boolean).join(" · ");
  const status = find("#status");
  // A screen reader reads every change: only real ones.
  if (status.textContent !== line) status.textContent = line;
}
