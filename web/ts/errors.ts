// One error type for the package: what happened, as a sentence in `message`, for programs in `code`
// and `facts`.

import { ERROR_CODES, type ErrorCode, type Facts } from "./generated";

/** What the engine said when it broke off: see `start` in web/src/lib.rs. */
export const lastWords = (): string | undefined => (globalThis as { mqtPanic?: string }).mqtPanic;

export class EngineError extends Error {
  override readonly name = "EngineError";

  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly facts: Facts = {},
  ) {
    super(message);
  }

  /** Any thrown value as an `EngineError`. */
  static from(error: unknown): EngineError {
    if (error instanceof EngineError) return error;
    const { message, code, facts, name } = (error ?? {}) as Record<string, unknown>;
    const text = typeof message === "string" && message ? message : String(error);
    if (name === "AbortError") return new EngineError("cancelled", "stopped");
    if (name === "QuotaExceededError")
      return new EngineError("storage-full", "the browser's storage is full");
    const known = ERROR_CODES.find(known => known === code);
    if (!known) return new EngineError("internal", lastWords() ?? text);
    return new EngineError(known, text, facts as Facts | undefined);
  }
}
