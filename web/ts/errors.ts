// One error type for the package: what happened, for people in `message`, for programs in `code`.

export type ErrorCode =
  /** The browser has no WebGPU, or no adapter gives a device. */
  | "no-webgpu"
  | "no-adapter"
  | "limit-too-small"
  | "out-of-memory"
  | "device-lost"
  /** A file of the model is not there, or not what it should be. */
  | "model-missing"
  | "model-corrupt"
  /** The server sends a shard that does not match its SHA-256. */
  | "bad-shard"
  | "network"
  | "storage-full"
  /** Another tab holds the model. */
  | "second-tab"
  | "image-unreadable"
  | "budget-out-of-range"
  | "invalid-setting"
  | "context-full"
  | "cancelled"
  | "internal";

/** Numbers and names behind an error, where they are known. */
export interface Facts {
  need?: number;
  have?: number;
  file?: string;
}

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
    const { message, code, need, have, file, facts, name } = (error ?? {}) as Record<string, unknown>;
    const text = typeof message === "string" && message ? message : String(error);
    if (name === "AbortError") return new EngineError("cancelled", "stopped");
    // A panic leaves the module in an unknown state: nothing of it may be used again.
    const known = typeof code === "string" ? (code as ErrorCode) : "internal";
    return new EngineError(known, text, (facts as Facts) ?? { need: need as number, have: have as number, file: file as string });
  }
}
