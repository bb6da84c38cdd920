// What the page is doing, in one word (`body[data-state]`) and one line (`role="status"`).

import { find, log } from "./dom";

export type State =
  | "first-visit"
  | "no-webgpu"
  | "weak-adapter"
  | "downloading"
  | "paused"
  | "verifying"
  | "uploading"
  | "compiling"
  | "ready"
  | "encoding"
  | "answering"
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

const WORDS: Record<State, string> = {
  "first-visit": "no model loaded yet",
  "no-webgpu": "this browser offers no usable WebGPU here",
  "weak-adapter": "this adapter is below what the engine is built for",
  downloading: "downloading the model",
  paused: "download paused",
  verifying: "verifying",
  uploading: "uploading to the device",
  compiling: "preparing the kernels",
  ready: "ready",
  encoding: "looking at the picture",
  answering: "answering",
  stopped: "stopped; the text is kept",
  "context-full": "the conversation is full",
  "out-of-memory": "out of memory",
  "device-lost": "the graphics device went away",
  offline: "waiting for the network",
  "storage-full": "no room to store the model",
  "bad-shard": "a file of the model is damaged",
  "bad-model": "the model's tensors do not fit",
  "internal-error": "an internal error ended the engine",
  "second-tab": "the model is open in another tab",
  "update-available": "ready; a new version of the model is there",
};

/** States in which a question may be asked. */
const OPEN: State[] = ["ready", "stopped", "context-full", "update-available"];

/** States in which work is under way that Stop ends. */
const BUSY: State[] = ["encoding", "answering"];

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

/** Where the model runs and which it is: the beginning of the status line. */
export function setPlace(text: string): void {
  place = text;
  show();
}

function show(): void {
  const line = [place, WORDS[state()], detail].filter(Boolean).join(" · ");
  const status = find("#status");
  // A screen reader reads every change: only real ones.
  if (status.textContent !== line) status.textContent = line;
}
