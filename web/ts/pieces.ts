// The pieces of an answer: a queue that is written by a callback and read with `for await`.

import type { EngineError } from "./errors";

export class Pieces {
  private readonly waiting: string[] = [];
  private ended = false;
  private error: EngineError | undefined;
  private wake = () => {};

  push(text: string): void {
    this.waiting.push(text);
    this.wake();
  }

  end(error?: EngineError): void {
    this.ended = true;
    this.error = error;
    this.wake();
  }

  /**
   * Once `signal` is aborted the reader's loop ends, whatever waits or still comes. `leave` is called
   * when the reader is done, whether it read everything or left its loop.
   */
  async *iterate(signal: AbortSignal, leave: () => void): AsyncIterator<string> {
    const stop = () => this.wake();
    signal.addEventListener("abort", stop);
    try {
      for (;;) {
        if (signal.aborted) return;
        const text = this.waiting.shift();
        if (text !== undefined) yield text;
        else if (this.error) throw this.error;
        else if (this.ended) return;
        else await new Promise<void>(wake => (this.wake = wake));
      }
    } finally {
      signal.removeEventListener("abort", stop);
      leave();
    }
  }
}
