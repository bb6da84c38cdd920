// What travels between the page and the worker.

import type {
  Answer,
  AskSettings,
  BenchReport,
  BenchSettings,
  Estimate,
  Kernels,
  LoadSettings,
  Loaded as LoadedModel,
  LookedAt,
  Offer,
  Select,
  Turn,
} from "./generated";

/** Where a model comes from: the address of a pack's manifest, or files from disk. */
export type Source = { url: string } | { files: File[] };

/**
 * Where what is fetched is kept: in the browser's storage, or in memory until the page is closed.
 */
export type Keep = "storage" | "memory";

/**
 * What to do if another tab uses the stored models: give up, wait for it, or take over; `beside`: read
 * what is stored, and ask nobody.
 */
export type Sharing = "try" | "wait" | "take" | "beside";

export interface WorkerSettings {
  source: Source;
  settings: LoadSettings;
  keep: Keep;
  /** Keep encoded pictures as well. */
  pictures: boolean;
  sharing: Sharing;
  /** Take the manifest from the network although one is stored. */
  refresh: boolean;
  /** Where the WebAssembly is; without it, beside the worker's script. */
  wasmUrl?: string;
}

/** A conversation up to its last question, as `web/src/converse.rs` reads it. */
export interface Told {
  system?: string;
  turns: { question: string; answer: string; pictures: number }[];
  question: string;
  detail?: "low" | "high" | "auto";
  imageTokens?: number;
}

/** How far loading has come. Sizes are in bytes. */
export type Progress =
  | {
      phase: "downloading";
      done: number;
      total: number;
      file: string;
      index: number;
      count: number;
    }
  | { phase: "paused"; done: number; total: number }
  /** No answer: asked again after `retryMs` at the latest. */
  | { phase: "offline"; done: number; total: number; reason: string; retryMs: number }
  | { phase: "verifying"; done: number; total: number; file: string; index: number; count: number }
  /** A stored file was damaged; it alone is fetched again. */
  | { phase: "bad-shard"; file: string }
  | { phase: "uploading"; done: number; total: number }
  /**
   * Pipelines; `total` is what this device compiled last time for this model, else what the bundled
   * one takes. 0 of 0 once the kernels run for the first time.
   */
  | { phase: "compiling"; done: number; total: number }
  /** Another tab took the model over: dispose of this engine. */
  | { phase: "taken" };

/** How far the work before the first token has come; `share` from 0 to 1. */
export interface Step {
  phase: "encoding" | "prefilling";
  share: number;
}

/** A loaded model and the device it runs on. */
export interface Loaded extends LoadedModel {
  /** What its pack says of the scenes it was trained on, if anything. */
  scenes?: Scenes;
}

/**
 * `scenes.json` of a pack: what pictures for this model can be composed of. Colours are `#rrggbb`.
 */
export interface Scenes {
  /**
   * Fewest and most things; smallest and largest extent of one, in parts of the picture's longer
   * side.
   */
  limits: { things: [number, number]; size: [number, number] };
  colours: Record<string, string>;
  grounds: string[];
  /** Outlines reach from −1 to 1; where one lies in another it is a hole. */
  shapes: { name: string; outlines: number[][][] }[];
  /** `file` is the name of the sticker's picture. */
  stickers: { name: string; file: string }[];
}

/** What the model sees of a picture. */
export interface View {
  /** [size, size, 3], 8 bits. */
  rgb: Uint8Array;
  size: number;
  width: number;
  height: number;
  readingsDiffer: boolean;
  /** SHA-256 of `rgb`: equal wherever the same pixels go into the model. */
  hash: string;
  encodeMs: number;
  /** Which m there are for the pictures in front of the model; missing if this is none of them. */
  offer?: Offer;
}

/** A heat map, ready to be shown. */
export interface Heat {
  /** [side, side, 4]; side is `scale` times what the model sees. */
  rgba: Uint8Array;
  /** The ninth of the picture with the most weight, in words, and its share. */
  place: string;
  share: number;
}

export interface Memory {
  wasmBytes: number;
  /** Buffers on the device; 0 on the processor, null while a question is being answered. */
  gpuBytes: number | null;
}

/** What the worker offers; `id` names a piece of work for `stop`. */
export interface WorkerApi {
  load(settings: WorkerSettings, onProgress: (progress: Progress) => void): Promise<Loaded>;
  pause(): void;
  resumeDownload(): void;
  look(id: number, picture: Uint8Array, onStep: (step: Step) => void): Promise<View>;
  lookAlso: WorkerApi["look"];
  forget(picture: number): Promise<void>;
  forgetAll(): Promise<void>;
  pictures(): Promise<number>;
  offer(select?: Select): Promise<Offer>;
  inspect(picture: Uint8Array): Promise<View>;
  prepare(id: number, settings: AskSettings): Promise<void>;
  ask(
    id: number,
    question: string,
    settings: AskSettings,
    onText: (text: string) => void,
    onStep: (step: Step) => void,
  ): Promise<Answer>;
  /** Puts a whole conversation in front of the model; the image tokens to ask with, if it says. */
  converse(id: number, told: Told, pictures: Uint8Array[]): Promise<number | undefined>;
  stop(id: number): void;
  estimate(question: string, settings: AskSettings): Promise<Estimate>;
  bench(
    id: number,
    settings: BenchSettings,
    onProgress: (what: string) => void,
  ): Promise<BenchReport>;
  /** Whether encoded pictures are kept from now on. */
  keepPictures(on: boolean): void;
  /** What was learned about this device: for the settings of the next load. */
  learned(): Promise<Kernels>;
  /** The same after a typical answer was measured. */
  probe(id: number): Promise<Kernels>;
  resamplerMap(imageTokens: number): Promise<Float32Array>;
  /** What the last answer looked at, for each picture in the order of the prompt. */
  lookedAt(id: number): Promise<LookedAt[]>;
  heat(rgb: Uint8Array, weights: Float32Array, scale: number, opacity: number): Promise<Heat>;
  takeBack(): Promise<void>;
  startAnew(): Promise<void>;
  instruct(system?: string): Promise<void>;
  resume(turns: Turn[]): Promise<void>;
  memory(): Promise<Memory>;
  /** What the engine said when it broke off, if it did. */
  lastWords(): Promise<string | undefined>;
}
