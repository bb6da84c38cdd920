// Errors keep their code and facts on the way between page and worker: comlink's own handler keeps
// only the message.

import { transferHandlers } from "comlink";
import { EngineError } from "./errors";
import type { ErrorCode, Facts } from "./generated";

interface Plain {
  code: ErrorCode;
  message: string;
  facts: Facts;
}

/** Call once on each side. */
export function carryErrors(): void {
  const usual = transferHandlers.get("throw");
  if (!usual) return;
  transferHandlers.set("throw", {
    canHandle: usual.canHandle,
    serialize: (thrown: { value: unknown }): [Plain, Transferable[]] => {
      const { code, message, facts } = EngineError.from(thrown.value);
      return [{ code, message, facts: { ...facts } }, []];
    },
    deserialize: ({ code, message, facts }: Plain) => {
      throw new EngineError(code, message, facts);
    },
  } as never);
}
