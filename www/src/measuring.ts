// Which device answers faster: measured while nobody waits, so that the next load can choose.

import { page } from "./actions";
import { log } from "./dom";
import { isOpen, onState } from "./state";

/** Nobody asked or typed for so long. */
const IDLE_MS = 10_000;
/** Two copies of a larger model are too much for a visitor's memory. */
const MOST_BYTES = 300_000_000;

let waiting: ReturnType<typeof setTimeout> | undefined;
let work: AbortController | undefined;

/** Waits for an idle moment after an answer; whatever happens on the page ends it. */
export function setUp(): void {
  onState(wait);
  for (const event of ["keydown", "pointerdown", "visibilitychange"])
    document.addEventListener(event, wait);
}

function wait(): void {
  clearTimeout(waiting);
  work?.abort();
  work = undefined;
  waiting = setTimeout(() => void measure(), IDLE_MS);
}

/** Whether the choice is free, there are two devices, and an answer was given. */
async function isWorthwhile(): Promise<boolean> {
  const { engine, seen, adapter, turns } = page;
  if (!engine || engine === page.compared || document.hidden || !isOpen() || turns.length === 0)
    return false;
  return adapter === "auto" && seen?.verdict === "good" && (await page.storedBytes()) < MOST_BYTES;
}

async function measure(): Promise<void> {
  const { engine, model } = page;
  if (!(await isWorthwhile()) || !engine || work) return;
  const measuring = (work = new AbortController());
  try {
    await engine.measureOther(model.from as string, measuring.signal);
    page.compared = engine;
    log("devices were compared; the next load takes the faster one");
    // That it was not measured is not true any more.
    page.showPlace();
  } catch (error) {
    log(`comparing devices: ${(error as Error).message}`);
    if (!measuring.signal.aborted) page.compared = engine;
  } finally {
    if (work === measuring) work = undefined;
  }
}
