// One error type for the package: what happened, for people in `message`, for programs in `code`.

/** Every kind of error. */
export const CODES = [
  // The library's own: `Error::code` in src/error.rs.
  "budget-out-of-range",
  "budget-not-offered",
  "invalid-setting",
  "model-missing",
  "model-corrupt",
  "bad-tensors",
  "no-adapter",
  "limit-too-small",
  "out-of-memory",
  "device-lost",
  "image-unreadable",
  "context-full",
  "output-failed",
  "cancelled",
  // A file that does not match its SHA-256, from the server or in storage.
  "bad-shard",
  // A server that cannot be asked, or answers with something else.
  "network",
  "storage-full",
  // Another tab holds the model.
  "second-tab",
  // A fault of ours: the engine broke off, and nothing of it may be used again.
  "internal",
] as const;

export type ErrorCode = (typeof CODES)[number];

/** Numbers and names behind an error, where they are known. */
export interface Facts {
  need?: number;
  have?: number;
  file?: string;
}

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
    const { message, code, need, have, file, facts, name } = (error ?? {}) as Record<
      string,
      unknown
    >;
    const text = typeof message === "string" && message ? message : String(error);
    if (name === "AbortError") return new EngineError("cancelled", "stopped");
    if (name === "QuotaExceededError")
      return new EngineError("storage-full", "the browser's storage is full");
    const known = CODES.find(known => known === code);
    if (!known) return new EngineError("internal", lastWords() ?? text);
    return new EngineError(
      known,
      text,
      (facts as Facts) ?? { need: need as number, have: have as number, file: file as string },
    );
  }
}
