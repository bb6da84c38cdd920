// One error type for the package: what happened, as a sentence in `message`, for programs in `code`
// and `facts`.

import { ERROR_CODES, type ErrorCode, type Facts } from "./generated";

/** What the engine said when it broke off: see `start` in web/src/lib.rs. */
export const lastWords = (): string | undefined => (globalThis as { mqtPanic?: string }).mqtPanic;

export class MqtError extends Error {
  override readonly name = "MqtError";

  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly facts: Facts = {},
  ) {
    super(message);
  }

  /** Any thrown value as an `MqtError`. */
  static from(error: unknown): MqtError {
    if (error instanceof MqtError) return error;
    const { message, code, facts, name } = (error ?? {}) as Record<string, unknown>;
    const text = typeof message === "string" && message ? message : String(error);
    if (name === "AbortError") return new MqtError("cancelled", "stopped");
    if (name === "QuotaExceededError")
      return new MqtError("storage-full", "the browser's storage is full");
    const known = ERROR_CODES.find(known => known === code);
    // An exception of the language's own means little without its kind.
    const kind = typeof name === "string" && name !== "Error" ? `${name}: ` : "";
    if (!known) return new MqtError("internal", lastWords() ?? kind + text);
    return new MqtError(known, text, facts as Facts | undefined);
  }
}

/** The name it had before there was a package: what is inside still uses it. */
export { MqtError as EngineError };
