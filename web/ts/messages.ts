// What travels between the page and the worker.

import type {
  Answer,
  AskSettings,
  BenchReport,
  BenchSettings,
  Estimate,
  LoadSettings,
  Loaded as LoadedModel,
  Offer,
  Turn,
} from "./generated";

/** Where a model comes from: the address of a pack's manifest, or files from disk. */
export type Source = { url: string } | { files: File[] };

/**
 * Where what is fetched is kept: in the browser's storage, or in memory until the page is closed.
 */
export type Keep = "storage" | "memory";

/** What to do if another tab uses the stored models: give up, wait for it, or take over. */
export type Sharing = "try" | "wait" | "take";

export interface WorkerSettings {
  source: Source;
  settings: LoadSettings;
  keep: Keep;
  sharing: Sharing;
  /** Take the manifest from the network although one is stored. */
  refresh: boolean;
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
  /** Another tab took the model over: this engine is gone. */
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
  /** Which m there are for this picture; missing if it is not in front of the model. */
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
  inspect(picture: Uint8Array): Promise<View>;
  prepare(id: number, imageTokens: number): Promise<void>;
  ask(
    id: number,
    question: string,
    settings: AskSettings,
    onText: (text: string) => void,
    onStep: (step: Step) => void,
  ): Promise<Answer>;
  stop(id: number): void;
  estimate(question: string, settings: AskSettings): Promise<Estimate>;
  bench(
    id: number,
    settings: BenchSettings,
    onProgress: (what: string) => void,
  ): Promise<BenchReport>;
  resamplerMap(imageTokens: number): Promise<Float32Array>;
  heat(rgb: Uint8Array, weights: Float32Array, scale: number, opacity: number): Promise<Heat>;
  takeBack(): Promise<void>;
  startAnew(): Promise<void>;
  instruct(system?: string): Promise<void>;
  resume(turns: Turn[]): Promise<void>;
  memory(): Promise<Memory>;
  /** What the engine said when it broke off, if it did. */
  lastWords(): Promise<string | undefined>;
}
