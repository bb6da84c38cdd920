// The package: a model in a worker, asked about pictures.
//
//     const engine = await Engine.load("models/toybox/manifest.json", { onProgress: console.log });
//     const question = "What is this?";
//     for await (const text of engine.ask({ image, question, tokens: 16 })) show(text);
//
// `image` may be a list: they are asked about together. `lookAlso` adds one to a conversation.

import * as Comlink from "comlink";
import type { AskRequest, Answering, Budgeted, LoadOptions, LookOptions } from "./asking";
import { checkRequest, read } from "./checks";
import { EngineError } from "./errors";
import {
  type BenchReport,
  type BenchSettings,
  DEFAULTS,
  type Estimate,
  type LookedAt,
  type Offer,
  type Select,
  type Turn,
} from "./generated";
import * as kernels from "./kernels";
import { Link } from "./link";
import type { Heat, Loaded, Memory, Progress, Sharing, Told, View, WorkerApi } from "./messages";
import { webAddress } from "./network";
import { Pieces } from "./pieces";
import { beside, startWorker, wasmAddress, workerPlace } from "./places";
import { carryErrors } from "./transfer";

export type { Answering, AskRequest, Budgeted, LoadOptions, LookOptions } from "./asking";
export { EngineError, MqtError } from "./errors";
export * from "./generated";
// The page of this repository needs these; the package does not have them.
/** @internal */
export { parseManifest } from "./manifest";
/** @internal */
export {
  Unreachable,
  fetchManifest,
  plainAddress,
  readAtMost,
  request,
  webAddress,
} from "./network";
export { programRecord } from "./records";
/** @internal */
export { ownServer } from "./server";
/** @internal */
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
export { forgetPictures, keptPictures } from "./pictures";
export { deletePack, storedBytes, storedPacks, type StoredPack } from "./storage";

carryErrors();

export class Engine extends Link {
  private loaded: Loaded | undefined;
  /** The picture files that were given last to be asked about together. */
  private together: readonly Blob[] = [];

  /** Loads a pack from the address of its `manifest.json`, or a pack or checkpoint from files. */
  static async load(source: string | URL | File[], options: LoadOptions = {}): Promise<Engine> {
    const loading = this.begin(source, options);
    return loading.engine;
  }

  /** The same, with a download that can be paused. */
  static begin(source: string | URL | File[], options: LoadOptions = {}): Loading {
    const from = Array.isArray(source)
      ? { files: source }
      : { url: webAddress(String(source), document.baseURI).href };
    const worker = startWorker(options);
    const engine = new this(worker, workerPlace(options));
    const {
      adapter = "auto",
      arithmetic = "fast",
      context = DEFAULTS.context,
      keep = "storage",
      pictures = true,
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
      pictures,
      sharing,
      refresh,
      wasmUrl: wasmAddress(options),
    };
    // Ends the worker, whatever it does: what a download has written stays in storage.
    const stop = () =>
      engine.fail(new EngineError("cancelled", "stopped; what has arrived is kept"));
    if (options.signal?.aborted) stop();
    options.signal?.addEventListener("abort", stop);
    const load = async () => {
      try {
        const load = (sharing: Sharing) =>
          engine.api.load({ ...settings, sharing }, Comlink.proxy(onProgress));
        const isShared = keep === "storage" && "url" in from && options.server === undefined;
        engine.loaded = await engine.race(
          isShared ? beside(sharing, engine.dead, load) : load(sharing),
        );
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

  /** What was loaded, and where it runs. */
  get model(): Loaded {
    if (!this.loaded) throw new EngineError("internal", "no model is loaded");
    return this.loaded;
  }

  /**
   * Puts a picture in front of the model and encodes it. The same one again costs nothing; another
   * starts a new conversation.
   */
  async look(image: Blob, options: LookOptions = {}): Promise<View> {
    this.together = [];
    return this.show(image, options, this.api.look);
  }

  /**
   * Puts one more picture in front of the model, before the next question: the conversation goes on,
   * and asks about all of them. Each is encoded once. If this fails, nothing has changed.
   */
  async lookAlso(image: Blob, options: LookOptions = {}): Promise<View> {
    this.together = [];
    return this.show(image, options, this.api.lookAlso);
  }

  private async show(
    image: Blob,
    { signal, onStep }: LookOptions,
    look: Comlink.Remote<WorkerApi>["look"],
  ): Promise<View> {
    const bytes = await read(image);
    const tell = Comlink.proxy(onStep ?? (() => {}));
    return this.stoppable(signal, id => look(id, Comlink.transfer(bytes, [bytes.buffer]), tell));
  }

  /**
   * Takes a picture away, counted from 0 in the order in which they were put there. What was said
   * stays.
   */
  forget(picture: number): Promise<void> {
    this.together = [];
    return this.race(this.api.forget(picture));
  }

  /** Takes all pictures away, and what was said about them. */
  forgetAll(): Promise<void> {
    this.together = [];
    return this.race(this.api.forgetAll());
  }

  /** How many pictures are in front of the model. */
  pictures(): Promise<number> {
    return this.race(this.api.pictures());
  }

  /**
   * Which numbers of image tokens there are for the pictures in front of the model, chosen in this
   * way; without a picture, for any.
   */
  offer(select?: Select): Promise<Offer> {
    return this.race(this.api.offer(select));
  }

  /**
   * What the model would see of a picture, and the hash of those pixels. Costs no encoding and
   * changes nothing.
   */
  async inspect(image: Blob): Promise<View> {
    const bytes = await read(image);
    return this.race(this.api.inspect(Comlink.transfer(bytes, [bytes.buffer])));
  }

  /** Reads the pictures' image tokens ahead of the question. */
  prepare(
    tokens: number,
    { signal, select }: Pick<Budgeted, "select"> & { signal?: AbortSignal } = {},
  ): Promise<void> {
    return this.stoppable(signal, id => this.api.prepare(id, { imageTokens: tokens, select }));
  }

  /**
   * Puts several pictures in front of the model: a new conversation, unless the same files stand
   * there already. If one of them cannot be looked at, none is there afterwards.
   */
  private async lookAtAll(images: readonly Blob[], options: LookOptions): Promise<void> {
    const [first, ...others] = images;
    const { together } = this;
    const same = together.length === images.length && images.every((b, i) => b === together[i]);
    if (same || !first) return;
    try {
      await this.look(first, options);
      // The first one may have been there, with others and a conversation of their own.
      await this.startAnew();
      for (const image of others) await this.lookAlso(image, options);
      this.together = [...images];
    } catch (error) {
      await this.forgetAll();
      throw error;
    }
  }

  /** Answers a question about the pictures. */
  ask(request: AskRequest): Answering {
    const { image, question, tokens, signal: stopped, onStep, ...rest } = request ?? {};
    const pieces = new Pieces();
    // Stopped by the caller's signal, or by leaving the loop over the pieces.
    const left = new AbortController();
    const signal = stopped ? AbortSignal.any([stopped, left.signal]) : left.signal;
    const answer = (async () => {
      checkRequest(request);
      if (image instanceof Blob) await this.look(image, { signal, onStep });
      else if (image) await this.lookAtAll([...image], { signal, onStep });
      const settings = { ...rest, ...(tokens === undefined ? {} : { imageTokens: tokens }) };
      const onText = Comlink.proxy((text: string) => pieces.push(text));
      const tell = Comlink.proxy(onStep ?? (() => {}));
      const asked = await this.stoppable(signal, id =>
        this.api.ask(id, question, settings, onText, tell),
      );
      void this.learned();
      return asked;
    })();
    answer.then(
      () => pieces.end(),
      error => pieces.end(EngineError.from(error)),
    );
    return { answer, [Symbol.asyncIterator]: () => pieces.iterate(signal, () => left.abort()) };
  }

  /**
   * Puts a whole conversation in front of the model, in place of the one before; the image tokens to
   * ask with, if it says. For `chat.ts`.
   *
   * @internal
   */
  converse(told: Told, pictures: Uint8Array[], signal: AbortSignal): Promise<number | undefined> {
    return this.stoppable(signal, id => this.api.converse(id, told, pictures));
  }

  /**
   * What a question would cost with this many image tokens; without them, what *Auto* would choose
   * and why.
   */
  estimate(
    tokens?: number,
    question = "",
    { targetMs, select }: Omit<Budgeted, "tokens"> = {},
  ): Promise<Estimate> {
    return this.race(this.api.estimate(question, { imageTokens: tokens, targetMs, select }));
  }

  /** Whether encoded pictures are kept from now on; what was kept is not touched. */
  keepPictures(on: boolean): Promise<void> {
    return this.race(this.api.keepPictures(on));
  }

  /** Remembers how fast this device answers, for the choice at the next load. */
  private async learned(): Promise<void> {
    await this.race(this.api.learned()).then(kernels.remember, () => undefined);
  }

  /**
   * Measures a typical answer of this stored model on the device that it does not run on as well,
   * unless both are known: the next load chooses by that.
   */
  async measureOther(source: string, signal: AbortSignal): Promise<void> {
    const measure = async (engine: Engine) => {
      const learned = await engine.stoppable(signal, id => engine.api.probe(id));
      kernels.remember(learned);
      return kernels.speed(learned);
    };
    const mine = kernels.speed(await this.race(this.api.learned())) ?? (await measure(this));
    if (mine && kernels.isCompared(mine)) return;
    const { adapter, arithmetic } = this.model;
    const other = await Engine.load(source, {
      adapter: adapter.kind === "cpu" ? "gpu" : "cpu",
      arithmetic: arithmetic as LoadOptions["arithmetic"],
      sharing: "beside",
      // What was encoded before would be no measure.
      pictures: false,
      signal,
    });
    await measure(other).finally(() => other.dispose());
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

  /**
   * What the last answer looked at in each picture, in the order in which they were put there: a map
   * over the picture, and how much of all attention it got. One more pass over the answer's tokens;
   * the conversation goes on as before. Rejects with `invalid-setting` if nothing was answered since
   * the pictures or the turns changed, or if the question chose the image tokens (`select`).
   */
  lookedAt({ signal }: { signal?: AbortSignal } = {}): Promise<LookedAt[]> {
    return this.stoppable(signal, id => this.api.lookedAt(id));
  }

  /** Patch `weights` as a heat map over what the model sees, `scale` times as large. */
  heat(rgb: Uint8Array, weights: Float32Array, scale: number, opacity: number): Promise<Heat> {
    return this.race(this.api.heat(rgb, weights, scale, opacity));
  }

  /** Takes the last question and its answer back: refine and compare ask it again. */
  takeBack(): Promise<void> {
    return this.race(this.api.takeBack());
  }

  /** Forgets the questions, keeps the pictures. */
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

  /** Continues an earlier conversation about the pictures; its answers can be given as they are. */
  resume(turns: Turn[]): Promise<void> {
    return this.race(this.api.resume(turns));
  }

  memory(): Promise<Memory> {
    return this.race(this.api.memory());
  }
}

/** A model on its way. */
export interface Loading {
  engine: Promise<Engine>;
  pause(): void;
  resume(): void;
}
