// An engine's connection with its worker: work that can be stopped, and what happens when the
// worker dies.

import * as Comlink from "comlink";
import { EngineError } from "./errors";
import type { WorkerApi } from "./messages";

/** How long an engine that broke off has to say why. */
const LAST_WORDS_MS = 500;

export class Link {
  // What is `@internal` has no place in the package's declarations, nor has what it would import.
  /** @internal */
  protected readonly api: Comlink.Remote<WorkerApi>;
  private work = 0;
  /** @internal */
  protected disposed = false;
  /** @internal */
  protected fail: (error: EngineError) => void = () => {};
  /**
   * Rejects when the worker dies: nothing waits for an answer that cannot come.
   *
   * @internal
   */
  protected readonly dead: Promise<never>;

  protected constructor(
    private readonly worker: Worker,
    absent: string,
  ) {
    this.api = Comlink.wrap<WorkerApi>(worker);
    this.dead = new Promise((_, reject) => (this.fail = reject));
    this.dead.catch(() => undefined);
    worker.addEventListener("error", ({ message }) => {
      if (message) void this.brokeOff(message);
      // Without a message it never ran: its script did not arrive. `absent` says which.
      else this.fail(new EngineError("network", absent));
    });
  }

  /** An error that nothing in the worker caught: a fault of ours. */
  private async brokeOff(message: string): Promise<void> {
    const silence = new Promise<undefined>(wake => setTimeout(wake, LAST_WORDS_MS));
    const words = await Promise.race([this.api.lastWords(), silence]).catch(() => undefined);
    this.fail(new EngineError("internal", words ?? message));
  }

  /** @internal */
  protected async race<T>(work: Promise<T>): Promise<T> {
    if (this.disposed) throw new EngineError("cancelled", "the engine was disposed of");
    try {
      return await Promise.race([work, this.dead]);
    } catch (error) {
      throw EngineError.from(error);
    }
  }

  /**
   * Runs a piece of work that `signal` stops.
   *
   * @internal
   */
  protected async stoppable<T>(
    signal: AbortSignal | undefined,
    work: (id: number) => Promise<T>,
  ): Promise<T> {
    if (signal?.aborted) throw new EngineError("cancelled", "stopped");
    const id = ++this.work;
    const stop = () => void this.api.stop(id);
    signal?.addEventListener("abort", stop);
    try {
      return await this.race(work(id));
    } finally {
      signal?.removeEventListener("abort", stop);
    }
  }

  /** Ends the worker, and frees the device's memory with it. */
  dispose(): void {
    this.disposed = true;
    this.fail(new EngineError("cancelled", "the engine was disposed of"));
    this.worker.terminate();
  }
}
