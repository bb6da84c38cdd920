// Every failure, once: its state, what was kept, what to press.

import type { EngineError } from "mqt-web";
import { app } from "./app";
import { log } from "./dom";
import * as notices from "./notices";
import { enter } from "./state";

/** A device that is lost so often in so long will be lost again. */
const [LOSSES, LOSS_WINDOW_MS] = [3, 5 * 60_000];
let losses: number[] = [];

/** Deals with what went wrong, in an answer to `question` if there was one. */
export function failed(error: EngineError, question?: string): void {
  log(`error ${error.code}: ${error.message}`);
  const loaded = app.engine !== undefined;
  switch (error.code) {
    case "cancelled":
      enter(loaded ? "stopped" : "first-visit");
      if (!loaded) void notices.welcome();
      return;
    case "device-lost":
    case "internal":
      return lost(error, question);
    case "out-of-memory":
      app.abandon();
      app.release(false);
      enter("out-of-memory");
      return notices.show(notices.outOfMemory(error, app.context));
    case "context-full":
      enter("context-full");
      return notices.show(notices.contextFull(error.facts.need ?? 0, error.facts.have ?? 0));
    case "storage-full":
      enter("storage-full");
      return notices.show(notices.storageFull(error));
    case "second-tab":
      enter("second-tab");
      return notices.show(notices.secondTab());
    case "bad-shard":
    case "model-corrupt":
      enter("bad-shard");
      return notices.show(notices.badShard(error));
    case "no-webgpu":
    case "no-adapter":
      enter("no-webgpu");
      return notices.show(notices.noWebGpu({ verdict: "absent", reason: error.message, step: "" }));
    case "limit-too-small":
      enter("weak-adapter");
      return notices.show(notices.weakAdapter({ verdict: "weak", reason: error.message, step: "" }));
    case "network":
    case "model-missing":
      enter("offline");
      return notices.show(notices.unreachable(error));
    default:
      // The picture or a setting: the model is as it was.
      enter(loaded ? "ready" : "first-visit");
      notices.show(notices.refused(error));
  }
}

/** Rebuilds after the device went away, unless it keeps going away. */
function lost(error: EngineError, question?: string): void {
  const now = Date.now();
  losses = [...losses.filter((at) => now - at < LOSS_WINDOW_MS), now];
  const stop = losses.length >= LOSSES;
  app.abandon();
  if (stop) app.release(false);
  enter("device-lost");
  notices.show(notices.deviceLost(error, stop, question));
  if (!stop) void app.start({ force: true });
}

/** By hand, after the losses were too many. */
export async function rebuild(): Promise<void> {
  losses = [];
  await app.start({ force: true });
}
