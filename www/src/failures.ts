// Every failure, once: its state, what was kept, what to press.

import type { EngineError, ErrorCode } from "mqt-web";
import { page } from "./actions";
import { log } from "./dom";
import * as notices from "./notices";
import { type State, enter } from "./state";
import * as trouble from "./trouble";

/** A device that is lost so often in so long will be lost again. */
const [LOSSES, LOSS_WINDOW_MS] = [3, 5 * 60_000];
let losses: number[] = [];

type Card = [State, (error: EngineError) => notices.Notice];

/** What a load ran into: there is no model then. */
const loading = (): Partial<Record<ErrorCode, Card>> => ({
  "storage-full": ["storage-full", trouble.storageFull],
  "second-tab": ["second-tab", trouble.secondTab],
  "bad-shard": ["bad-shard", trouble.badShard],
  "model-corrupt": ["bad-shard", trouble.badShard],
  "bad-tensors": ["bad-model", trouble.badModel],
  "no-adapter": [
    "no-webgpu",
    ({ message }) => trouble.noWebGpu({ verdict: "absent", reason: message, step: "" }),
  ],
  "limit-too-small": [
    "weak-adapter",
    ({ message }) => trouble.weakAdapter({ verdict: "weak", reason: message, step: "" }),
  ],
  network: ["offline", trouble.unreachable],
  "model-missing": ["offline", trouble.unreachable],
});

/**
 * Deals with what went wrong, in an answer to `question` if there was one. Only what ends the
 * engine takes the model away.
 */
export function failed(error: EngineError, question?: string): void {
  log(`error ${error.code}: ${error.message}`);
  const loaded = page.engine !== undefined;
  switch (error.code) {
    case "cancelled":
      enter(loaded ? "stopped" : "first-visit");
      if (!loaded) void page.welcome();
      return;
    case "device-lost":
      return lost(error, question);
    case "internal":
      page.abandon();
      page.release(false);
      enter("internal-error");
      return void notices.show(trouble.internalError(error));
    case "out-of-memory":
      page.abandon();
      page.release(false);
      enter("out-of-memory");
      return void notices.show(trouble.outOfMemory(error, page.context));
    case "context-full":
      enter("context-full");
      return void notices.show(trouble.contextFull(error.facts.need ?? 0, error.facts.have ?? 0));
  }
  // The picture or a setting: the model, if there is one, is as it was.
  const harmless: Card = [loaded ? "ready" : "first-visit", trouble.refused];
  const [state, card] = (loaded ? undefined : loading()[error.code]) ?? harmless;
  enter(state);
  notices.show(card(error));
}

/** Rebuilds after the device went away, unless it keeps going away. */
function lost(error: EngineError, question?: string): void {
  const now = Date.now();
  losses = [...losses.filter(at => now - at < LOSS_WINDOW_MS), now];
  const stop = losses.length >= LOSSES;
  page.abandon();
  if (stop) page.release(false);
  enter("device-lost");
  notices.show(trouble.deviceLost(error, stop ? rebuild : undefined, question));
  if (!stop) void page.start({ force: true });
}

/** By hand, after the losses were too many. */
async function rebuild(): Promise<void> {
  losses = [];
  await page.start({ force: true });
}
