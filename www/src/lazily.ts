// Parts of the page that most visitors never open are scripts of their own, fetched by the click
// that wants them.

import { log } from "./dom";
import { remark } from "./notices";
import { head as words } from "./words";

/** Runs what such a part holds; where it cannot be fetched, `sorry` is said. */
export async function lazily(
  part: string,
  run: () => Promise<unknown>,
  sorry = words.notLoaded,
): Promise<void> {
  try {
    await run();
  } catch (error) {
    log(`${part}: ${(error as Error).message}`);
    remark(sorry);
  }
}
