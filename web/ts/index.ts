// What the npm package offers. The page of this repository takes more, straight from `engine.ts`.

import { Chat } from "./chat";
import { Engine as Plain, type Loading as PlainLoading, type LoadOptions } from "./engine";

/** A model in a worker, asked about pictures. */
export class Engine extends Plain {
  /**
   * OpenAI's interface: `engine.chat.completions.create({ messages, stream })`. A request says the
   * whole conversation, which takes the place of the one before.
   */
  readonly chat = new Chat(this);

  static override load(source: string | URL | File[], options: LoadOptions = {}): Promise<Engine> {
    return super.load(source, options) as Promise<Engine>;
  }

  static override begin(source: string | URL | File[], options: LoadOptions = {}): Loading {
    return super.begin(source, options) as Loading;
  }
}

/** A model on its way. */
export interface Loading extends PlainLoading {
  engine: Promise<Engine>;
}

export type { Answering, AskRequest, LoadOptions } from "./engine";
export type { Places } from "./places";
export { MqtError } from "./errors";
export * from "./generated";
export type { Heat, Keep, Memory, Progress, Scenes, Sharing, Step, View } from "./messages";
/** A loaded model and the device it runs on, and what its pack says of its scenes. */
export type { Loaded } from "./messages";
export type { Chat, CompletionOptions, CompletionStream, Completions } from "./chat";
export type * from "./openai";
export { programRecord } from "./records";
export { forgetPictures, keptPictures } from "./pictures";
export { deletePack, storedBytes, storedPacks, type StoredPack } from "./storage";
