// The package: a model in a worker, asked about pictures.
//
//     const engine = await Engine.load("models/toybox/manifest.json", { onProgress: console.log });
//     const question = "What is this?";
//     for await (const text of engine.ask({ image, question, tokens: 16 })) show(text);

import * as Comlink from "comlink";
import { EngineError } from "./errors";
import {
  type Answer,
  type AskSettings,
  type BenchReport,
  type BenchSettings,
  DEFAULTS,
  type Estimate,
  type Turn,
} from "./generated";
import * as kernels from "./kernels";
import type {
  Heat,
  Keep,
  Loaded,
  Memory,
  Progress,
  Sharing,
  Step,
  View,
  WorkerApi,
} from "./messages";
import { webAddress } from "./network";
import { carryErrors } from "./transfer";

export { EngineError } from "./errors";
export * from "./generated";
export { parseManifest } from "./manifest";
export {
  Unreachable,
  fetchManifest,
  plainAddress,
  readAtMost,
  request,
  webAddress,
} from "./network";
export { programRecord } from "./records";
export { shown } from "./shown";
export type {
  Heat,
  Keep,
  Loaded,
  Memory,
  Progress,
  Scenes,
  Sharing,
  Step,
  View,
} from "./messages";
export { deletePack, storedBytes, storedPacks, type StoredPack } from "./storage";

carryErrors();

export interface LoadOptions {
  onProgress?: (progress: Progress) => void;
  /** Cancels loading; what has arrived is kept. */
  signal?: AbortSignal;
  /** `auto` (default), `cpu`, or part of an adapter's name. */
  adapter?: string;
  /** `fast` (default) or `exact`. */
  arithmetic?: "fast" | "exact";
  /** Room for tokens, `DEFAULTS.context` without it; at most what the model allows. */
  context?: number;
  keep?: Keep;
  sharing?: Sharing;
  /** Take the manifest from the network although one is stored: an update. */
  refresh?: boolean;
}

export interface AskRequest extends Omit<AskSettings, "imageTokens"> {
  question: string;
  /** A picture file; without it the one seen last. */
  image?: Blob;
  /** Image tokens; without it the measured speed decides. */
  tokens?: number;
  signal?: AbortSignal;
  /** Hears some times a second how far the work before the first token has come. */
  onStep?: (step: Step) => void;
}

/** The pieces of an answer as they come, and all of it at the end. */
export interface Answering extends AsyncIterable<string> {
  /** The whole answer and what it took. */
  readonly answer: Promise<Answer>;
}

/** How long an engine that broke off has to say why. */
const LAST_WORDS_MS = 500;

export class Engine {
  private work = 0;
  private disposed = false;
  private fail: (error: EngineError) => void = () => {};
  /** Rejects when the worker dies: nothing waits for an answer that cannot come. */
  private readonly dead: Promise<never>;

  private constructor(
    private readonly worker: Worker,
    private readonly api: Comlink.Remote<WorkerApi>,
    private loaded: Loaded | undefined,
  ) {
    this.dead = new Promise((_, reject) => (this.fail = reject));
    this.dead.catch(() => undefined);
    worker.addEventListener("error", ({ message }) => {
      if (message) void this.brokeOff(message);
      // Without a message it never ran: its script did not arrive.
      else this.fail(new EngineError("network", "the engine's own files cannot be fetched"));
    });
  }

  /** An error that nothing in the worker caught: a fault of ours. */
  private async brokeOff(message: string): Promise<void> {
    const silence = new Promise<undefined>(wake => setTimeout(wake, LAST_WORDS_MS));
    const words = await Promise.race([this.api.lastWords(), silence]).catch(() => undefined);
    this.fail(new EngineError("internal", words ?? message));
  }

  /** Loads a pack from its manifest's address, or a pack or checkpoint from files. */
  static async load(source: string | URL | File[], options: LoadOptions = {}): Promise<Engine> {
    const loading = Engine.begin(source, options);
    return loading.engine;
  }

  /** The same, with a download that can be paused. */
  static begin(source: string | URL | File[], options: LoadOptions = {}): Loading {
    const from = Array.isArray(source)
      ? { files: source }
      : { url: webAddress(String(source), document.baseURI).href };
    const worker = new Worker(new URL("./worker.ts", import.meta.url), {
      type: "module",
      name: "mqt",
    });
    const engine = new Engine(worker, Comlink.wrap<WorkerApi>(worker), undefined);
    const {
      adapter = "auto",
      arithmetic = "fast",
      context = DEFAULTS.context,
      keep = "storage",
      sharing = "try",
      refresh = false,
    } = options;
    let settled = false;
    // The worker's last words may arrive after its result: what is over makes no progress. That
    // another tab took over comes later still.
    const onProgress = (progress: Progress) => {
      if (progress.phase === "taken" ? !engine.disposed : !settled) options.onProgress?.(progress);
    };
    const settings = {
      source: from,
      settings: { adapter, arithmetic, context, kernels: kernels.read() },
      keep,
      sharing,
      refresh,
    };
    // Ends the worker, whatever it does: what a download has written stays in storage.
    const stop = () =>
      engine.fail(new EngineError("cancelled", "stopped; what has arrived is kept"));
    if (options.signal?.aborted) stop();
    options.signal?.addEventListener("abort", stop);
    const load = async () => {
      try {
        engine.loaded = await engine.race(engine.api.load(settings, Comlink.proxy(onProgress)));
        kernels.remember(engine.loaded.kernels);
        return engine;
      } catch (error) {
        engine.dispose();
        throw EngineError.from(error);
      } finally {
        settled = true;
        // it was for loading, not for what is loaded
        options.signal?.removeEventListener("abort", stop);
      }
    };
    return {
      engine: load(),
      pause: () => engine.api.pause(),
      resume: () => engine.api.resumeDownload(),
    };
  }

  private async race<T>(work: Promise<T>): Promise<T> {
    if (this.disposed) throw new EngineError("cancelled", "the engine was disposed of");
    try {
      return await Promise.race([work, this.dead]);
    } catch (error) {
      throw EngineError.from(error);
    }
  }

  /** Runs a piece of work that `signal` stops. */
  private async stoppable<T>(
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

  /** What was loaded, and where it runs. */
  get model(): Loaded {
    if (!this.loaded) throw new EngineError("internal", "no model is loaded");
    return this.loaded;
  }

  /**
   * Puts a picture in front of the model and encodes it. The same one again costs nothing; another
   * starts a new conversation.
   */
  async look(
    image: Blob,
    { signal, onStep }: Pick<AskRequest, "signal" | "onStep"> = {},
  ): Promise<View> {
    const bytes = await read(image);
    const tell = Comlink.proxy(onStep ?? (() => {}));
    return this.stoppable(signal, id =>
      this.api.look(id, Comlink.transfer(bytes, [bytes.buffer]), tell),
    );
  }

  /**
   * What the model would see of a picture, and the hash of those pixels. Costs no encoding and
   * changes nothing.
   */
  async inspect(image: Blob): Promise<View> {
    const bytes = await read(image);
    return this.race(this.api.inspect(Comlink.transfer(bytes, [bytes.buffer])));
  }

  /** Reads the picture's first image tokens ahead of the question. */
  prepare(tokens: number, { signal }: { signal?: AbortSignal } = {}): Promise<void> {
    return this.stoppable(signal, id => this.api.prepare(id, tokens));
  }

  /** Answers a question about the picture. */
  ask(request: AskRequest): Answering {
    const { image, question, tokens, signal, onStep, ...rest } = request;
    const pieces = new Pieces();
    const answer = (async () => {
      if (image) await this.look(image, { signal, onStep });
      const settings = { ...rest, ...(tokens === undefined ? {} : { imageTokens: tokens }) };
      const onText = Comlink.proxy((text: string) => pieces.push(text));
      const tell = Comlink.proxy(onStep ?? (() => {}));
      return this.stoppable(signal, id => this.api.ask(id, question, settings, onText, tell));
    })();
    answer.then(
      () => pieces.end(),
      error => pieces.end(EngineError.from(error)),
    );
    return { answer, [Symbol.asyncIterator]: () => pieces.iterate() };
  }

  /**
   * What a question would cost with this many image tokens; without them, what *Auto* would choose
   * and why.
   */
  estimate(tokens?: number, question = "", targetMs?: number): Promise<Estimate> {
    const settings =
      tokens === undefined ? (targetMs === undefined ? {} : { targetMs }) : { imageTokens: tokens };
    return this.race(this.api.estimate(question, settings));
  }

  /** Measures device and model; takes some seconds, and the conversation's cache is left alone. */
  bench({
    onProgress,
    signal,
    ...settings
  }: BenchSettings & {
    onProgress?: (what: string) => void;
    signal?: AbortSignal;
  } = {}): Promise<BenchReport> {
    const tell = Comlink.proxy(onProgress ?? (() => {}));
    return this.stoppable(signal, id => this.api.bench(id, settings, tell));
  }

  /**
   * Where each of the first image tokens reads from: [tokens, grid²], each row summing to 1. The
   * same for every picture.
   */
  resamplerMap(tokens: number): Promise<Float32Array> {
    return this.race(this.api.resamplerMap(tokens));
  }

  /** Patch `weights` as a heat map over what the model sees, `scale` times as large. */
  heat(rgb: Uint8Array, weights: Float32Array, scale: number, opacity: number): Promise<Heat> {
    return this.race(this.api.heat(rgb, weights, scale, opacity));
  }

  /** Takes the last question and its answer back: refine and compare ask it again. */
  takeBack(): Promise<void> {
    return this.race(this.api.takeBack());
  }

  /** Forgets the questions, keeps the picture. */
  startAnew(): Promise<void> {
    return this.race(this.api.startAnew());
  }

  /**
   * Changes the text that opens the conversation; without one, what the model was trained with.
   * What was said so far stays.
   */
  instruct(system?: string): Promise<void> {
    return this.race(this.api.instruct(system));
  }

  /** Continues an earlier conversation about the picture; its answers can be given as they are. */
  resume(turns: Turn[]): Promise<void> {
    return this.race(this.api.resume(turns));
  }

  memory(): Promise<Memory> {
    return this.race(this.api.memory());
  }

  /** Ends the worker, and frees the device's memory with it. */
  dispose(): void {
    this.disposed = true;
    this.fail(new EngineError("cancelled", "the engine was disposed of"));
    this.worker.terminate();
  }
}

async function read(image: Blob): Promise<Uint8Array> {
  try {
    return new Uint8Array(await image.arrayBuffer());
  } catch (error) {
    throw new EngineError(
      "image-unreadable",
      `the picture cannot be read any more; was the file changed or removed? (${(error as Error).message})`,
    );
  }
}

/** A model on its way. */
export interface Loading {
  engine: Promise<Engine>;
  pause(): void;
  resume(): void;
}

/** A queue that is written by a callback and read with `for await`. */
class Pieces {
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

  async *iterate(): AsyncIterator<string> {
    for (;;) {
      const text = this.waiting.shift();
      if (text !== undefined) yield text;
      else if (this.error) throw this.error;
      else if (this.ended) return;
      else await new Promise<void>(wake => (this.wake = wake));
    }
  }
}
