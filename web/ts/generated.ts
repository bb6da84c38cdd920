// What TypeScript has to know of the Rust. Made by `cargo xtask types`: do not change it by hand.

/** Every kind of error. */
export const ERROR_CODES = [
  // The number of image tokens is outside what the model gives.
  "budget-out-of-range",
  // The model gives only some numbers of image tokens, and this is none of them.
  "budget-not-offered",
  // A setting that makes no sense.
  "invalid-setting",
  // A file of the model does not exist or cannot be read.
  "model-missing",
  // A file of the model is there, but what it holds is not valid.
  "model-corrupt",
  // Tensors are missing, misshapen, of a wrong type or unknown.
  "bad-tensors",
  // No such graphics adapter, or it gave no device.
  "no-adapter",
  // The adapter's limits are too small for this model.
  "limit-too-small",
  // The device ran out of memory.
  "out-of-memory",
  // The device went away.
  "device-lost",
  // The picture does not exist, or cannot be decoded completely.
  "image-unreadable",
  // The conversation does not fit the context.
  "context-full",
  // Something could not be written.
  "output-failed",
  // The caller asked to stop.
  "cancelled",
  // A file does not match its SHA-256, from the server or in storage.
  "bad-shard",
  // A server cannot be asked, or answers with something else.
  "network",
  // The browser's storage has no room for the model, or there is no storage.
  "storage-full",
  // Another tab holds the model.
  "second-tab",
  // A fault of mqt: the engine broke off, and nothing of it may be used again.
  "internal",
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

/** Numbers and names behind an error, as far as they are known. */
export interface Facts {
  /** What is needed: bytes of memory, tokens of context, or the value of a limit. */
  need?: number;
  /** What there is of it. */
  have?: number;
  /** The file: its name within the model, or its path. */
  file?: string;
  /** What it is about: a setting, a tensor, an adapter, or what the memory was for. */
  what?: string;
  /** WebGPU's name of the limit. */
  limit?: string;
  /** The image tokens that were asked for. */
  asked?: number;
  /** The most image tokens that the model gives. */
  most?: number;
  /** The numbers of image tokens that the model gives, rising. */
  offered?: number[];
}

/** Who chose m. */
export type ImageTokensMode =
  /** The budget, from measured speeds. */
  | "auto"
  /** The caller. */
  | "fixed";

/** Speeds of this model on this device, as measured so far. */
export interface Speed {
  /** Milliseconds to encode one square of a picture (tower and connector). */
  encodeMs: number | null;
  /** Milliseconds per prompt token. */
  prefillMsPerToken: number | null;
  /** Milliseconds that reading a prompt takes beside that, however short it is. */
  prefillMs: number;
  /** Milliseconds per generated token. */
  decodeMsPerToken: number | null;
}

/** How image tokens are chosen. */
export type Select =
  /** The first m, as an MQT model was trained to nest them. */
  | "nested"
  /** Each next token is the one farthest from those already chosen (DivPrune, arXiv 2503.02175). */
  | "spread"
  /** Averages over squares of the grid. */
  | "pool"
  /** By chance, the same for every picture. */
  | "random"
  /** By what the question attends to, inside the decoder (SparseVLM, arXiv 2410.04417). */
  | "question";

/** How numbers are computed. */
export type Arithmetic =
  /** Float activations and caches; a row's result does not depend on its neighbours. */
  | "exact"
  /**
   * Whatever measures fastest within the documented quality: keys and values kept as halves; where
   * the device multiplies bytes faster, the decoder's activations rounded to those in products with
   * q8 and q4.
   */
  | "fast";

/** An answer and what it took: `mqt.answer/1`, whose fields and their order are a contract. */
export interface Answer {
  schema: "mqt.answer/1";
  /** What the caller calls the picture, if it has a name there. */
  image?: string;
  /** The question, as typed. */
  question: string;
  /** The answer's text. */
  answer: string;
  /** Its token ids, without the end token. */
  tokenIds: number[];
  /** Why it ended. */
  finishReason: FinishReason;
  /** m: the image tokens used of each picture, at most; `images` says how many of which. */
  imageTokens: number;
  /** Whether the caller or the budget chose them. */
  imageTokensMode: ImageTokensMode;
  /** Why this many, as a text to show. */
  imageTokensReason: string;
  /** The pictures that were asked about, in the order of the prompt. */
  images: AnswerImage[];
  /** Squares that the pictures were cut into, in all. */
  tiles: number;
  /**
   * How many of the pictures, the last ones, stand before this question; the others stand before
   * earlier ones.
   */
  newImages: number;
  /** How image tokens were chosen. */
  select: Select;
  /** Tokens of the whole prompt, image tokens included. */
  promptTokens: number;
  /** Tokens generated. */
  completionTokens: number;
  /**
   * How often the vision tower ran for this answer: once for each square that was not encoded
   * before.
   */
  visionRuns: number;
  /** Milliseconds per stage. */
  timingsMs: Timings;
  /** Generated tokens per second, the first one excluded; 0 for a single token. */
  tokensPerSecond: number;
  /** Where it was computed. */
  adapter: AnswerAdapter;
  /** The model. */
  model: AnswerModel;
  /** `exact` or `fast`. */
  arithmetic: Arithmetic;
  /** The seed it was drawn with. */
  seed: number;
  /**
   * Mean probability of the generated tokens, 0 to 1; `null` if there are none. A low one says that
   * more image tokens may help.
   */
  meanProbability: number | null;
  /** Of the prompt's tokens, how many were already in the cache. */
  cachedTokens: number;
  /**
   * Milliseconds to the first token as they were predicted once the picture was encoded, to compare
   * with `timings_ms`; `null` before anything was measured.
   */
  predictedFirstTokenMs: number | null;
}

/** A picture that was asked about. */
export interface AnswerImage {
  /** What the caller calls it, if it has a name there. */
  image?: string;
  /** Its image tokens. */
  imageTokens: number;
  /** The squares it was cut into; 1 is the whole picture. */
  tiles: number;
}

/** Why an answer ended. */
export type FinishReason =
  /** The model ended it, or a stop string did. */
  | "stop"
  /** The most new tokens were reached. */
  | "length"
  /** The caller stopped it; the text so far is kept. */
  | "cancelled"
  /** The context is full; the text so far is kept. */
  | "context";

/** Milliseconds per stage of one answer; what did not happen again is 0. */
export interface Timings {
  /** Loading the model, if this is the first answer. */
  load: number;
  /** Decoding the picture's file. */
  decodeImage: number;
  /** The vision tower; 0 if the picture was encoded before. */
  vision: number;
  /** The resampler. */
  resample: number;
  /** The prompt, as far as it was not cached. */
  prefill: number;
  /**
   * From the question to the first token; with what the picture's encoding made somebody wait,
   * which is nothing where weights were read meanwhile.
   */
  firstToken: number;
  /** From the first token to the last. */
  decode: number;
  /** All of it. */
  total: number;
}

/** The adapter that an answer was computed on. */
export interface AnswerAdapter {
  /** The driver's name for it, or `cpu`. */
  name: string;
  /** `vulkan`, `metal`, `dx12`, `webgpu` or `none`. */
  backend: string;
  /** `discrete`, `integrated`, `virtual`, `software`, `other` or `cpu`. */
  kind: string;
}

/** The model that an answer is from. */
export interface AnswerModel {
  /** The pack's or folder's name. */
  name: string;
  /** f32, f16, q8 or q4. */
  weights: string;
  /** SHA-256 of its manifest; empty for a checkpoint folder. */
  sha256: string;
}

/**
 * A question and its answer, to continue a conversation from. An `Answer` is read as one: other
 * fields are ignored.
 */
export interface Turn {
  /** The question, as typed. */
  question: string;
  /** The answer's token ids, without the end token. */
  tokenIds: number[];
  /** The image tokens of each picture, at most, that it was answered with. */
  imageTokens: number;
  /**
   * Pictures that stand before its question, after those of earlier turns; `null`: all of them
   * before the first turn, none before a later one.
   */
  newImages?: number;
}

/** What a question would cost. */
export interface Estimate {
  /** m: what would be used. */
  imageTokens: number;
  /** Why, as a text to show. */
  reason: string;
  /**
   * Milliseconds to the first token with what is computed already; `null` before anything was
   * measured.
   */
  firstTokenMs: number | null;
  /** The same as if no image token were in the cache: what comparing different m needs. */
  firstTokenFromScratchMs: number | null;
  /** Generated tokens per second; `null` before the first answer. */
  tokensPerSecond: number | null;
  /** Bytes that the image tokens take in the cache. */
  cacheBytes: number;
  /** Tokens that the conversation would take with this question. */
  contextUsed: number;
  /** Tokens there is room for. */
  context: number;
}

/** What an answer looked at in one picture. */
export interface LookedAt {
  /** What the caller calls the picture, if it has a name there. */
  image?: string;
  /** Columns of the grid over the picture. */
  columns: number;
  /** Rows of the grid. */
  rows: number;
  /**
   * A weight for each of its cells, row by row; they sum to 1, or are all 0 where the answer did
   * not look at this picture.
   */
  weights: number[];
  /**
   * The part of the picture that the grid lies over: [left, top, width, height] in its pixels. It
   * reaches beyond a picture that was padded to a square.
   */
  area: [number, number, number, number];
  /** How much of all its attention the answer directed at this picture, 0 to 1. */
  share: number;
}

/** What is known about the adapter in use. */
export interface AdapterInfo {
  /** The driver's name for it, or `cpu`. */
  name: string;
  /** `vulkan`, `metal`, `dx12`, `webgpu` or `none`. */
  backend: string;
  /** `discrete`, `integrated`, `virtual`, `software`, `other` or `cpu`. */
  kind: string;
  /** Driver name and version, as far as known. */
  driver: string;
}

/** What was learned, by adapter (`super::AdapterInfo::key`, or `*` for any). */
export type Kernels = Record<string, Learned>;

/** What was learned about one adapter, or the processor. */
export interface Learned {
  /** The variant that was fastest, by kernel and shape. */
  variants: Record<string, string>;
  /** How many pipelines a model takes, by arithmetic and model. */
  pipelines: Record<string, number>;
  /** How fast models answer, by arithmetic, model, formats and threads. */
  speeds: Record<string, Speed>;
}

/** A loaded model and the device it runs on. */
export interface Loaded {
  /** The pack's or folder's name. */
  name: string;
  /** f32, f16, q8 or q4. */
  weights: string;
  /** SHA-256 of its manifest; empty for a checkpoint folder. */
  sha256: string;
  /** Which numbers of image tokens it gives. */
  offer: Offer;
  /** The ways in which its image tokens may be chosen, its own first. */
  selects: Select[];
  /** Patches per side of the picture. */
  grid: number;
  /** Room for tokens of picture and conversation. */
  context: number;
  /** The longest context that the model allows. */
  contextMax: number;
  /** Where it runs. */
  adapter: AdapterInfo;
  /** Why there. */
  why: Why;
  /** `fast` or `exact`. */
  arithmetic: Arithmetic;
  /** What was learned about this adapter so far: for the next load's settings. */
  kernels: Kernels;
}

/** Why a model runs where it runs. */
export interface Why {
  /**
   * `asked`, `card` (a graphics card), `no-adapter`, `not-measured` (the only adapter draws in
   * software) or `measured`.
   */
  kind: string;
  /** The adapter that was not measured, or the device that this one was compared with. */
  other: string | null;
  /** How many times as fast as that one it is, 1 or more. */
  times: number | null;
}

/** Which numbers of image tokens a model gives. */
export interface Offer {
  /** M: the most. */
  max: number;
  /** The numbers there are, rising; empty: every one from 1 to `max`. */
  exactly: number[];
  /** Those worth comparing, rising. */
  ladder: number[];
  /** How finely the picture may be cut, rising; one level where it is never cut. */
  levels: Level[];
}

/** One way of cutting a picture. */
export interface Level {
  /** All image tokens of the picture when it is cut like this. */
  imageTokens: number;
  /** The squares it is cut into; 1 is the whole picture. */
  tiles: number;
}

/** `mqt.bench/1`. */
export interface BenchReport {
  /** `mqt.bench/1`. */
  schema: string;
  /** The program's version. */
  version: string;
  /** Where it ran. */
  adapter: AdapterInfo;
  /** What it uses of the processor; `null` where it ran on an adapter. */
  processor?: BenchProcessor;
  /** What ran. */
  model: BenchModel;
  /** `exact` or `fast`. */
  arithmetic: Arithmetic;
  /** The device at its best. */
  ceilings: BenchCeilings;
  /** The tower, once per picture; `null` if left out. */
  vision: BenchVision | null;
  /** The resampler for all M tokens, milliseconds. */
  resampleMs: number | null;
  /** Prompts from an empty cache. */
  prefill: BenchPrefill[];
  /** Few tokens at once. */
  smallBatch: BenchBatch[];
  /** One token at a time. */
  decode: BenchDecode[];
  /**
   * From the question to the first token, the picture not yet encoded, the system prompt cached.
   */
  firstToken: BenchFirstToken[];
  /** The same about 1, 2, 4 and 8 pictures, as far as the context has room. */
  pictures: BenchPictures[];
  /** Image tokens that the question chooses, if asked for. */
  chosen: BenchChosen[];
  /** How far predictions are off; `null` where there are none. */
  prediction?: BenchPrediction;
  /** How long Stop takes; `null` in the browser, where one thread cannot ask while it works. */
  stop?: BenchStop;
  /** From nothing to ready, by phase. */
  startupMs: BenchStartup;
  /** Compiled pipelines. */
  pipelines: number;
  /** Bytes of storage buffers at the peak. */
  gpuBytesPeak: number;
  /** Which variant of each kernel was measured to be fastest, by shape; the others are guessed. */
  variants: Record<string, string>;
  /** Time per kernel, if asked for and if the device has a clock. */
  profile: BenchStage[];
}

/** What the network on the processor uses. */
export interface BenchProcessor {
  /** Its instruction set. */
  instructionSet: InstructionSet;
  /** Its threads. */
  threads: number;
}

/** The model's sizes. */
export interface BenchModel {
  /** The pack's, the folder's or the shape's name. */
  name: string;
  /** f32, f16, q8 or q4. */
  weights: string;
  /** Weights of all parts. */
  parameters: number;
  /** Bytes read for every generated token, keys and values not counted. */
  bytesPerToken: number;
}

/** The vision tower. */
export interface BenchVision {
  /** Milliseconds per picture. */
  ms: number;
  /** 10⁹ floating point operations. */
  gflop: number;
  /** Of the measured f32 peak. */
  fractionOfPeak: number | null;
  /** Image tokens that `--select spread` puts in order, once per picture. */
  ordered: number;
  /** Milliseconds that it takes, reading the tokens back included. */
  orderMs: number;
}

/** A prompt. */
export interface BenchPrefill {
  /** Its length. */
  tokens: number;
  /** Milliseconds. */
  ms: number;
  /** Tokens per second. */
  tokensPerSecond: number;
}

/** N tokens at once beside a context of 128. */
export interface BenchBatch {
  /** N. */
  n: number;
  /** Milliseconds. */
  ms: number;
}

/** Generation. */
export interface BenchDecode {
  /** Positions in the cache at the start. */
  context: number;
  /** Tokens per second. */
  tokensPerSecond: number;
  /** Milliseconds per token. */
  msPerToken: number;
  /** Bytes of weights, keys and values per token. */
  bytesPerToken: number;
  /** Of the measured read rate. */
  fractionOfReadBandwidth: number | null;
  /** Milliseconds per token over bytes ÷ read rate + dispatches · gap. */
  ratioToModel: number | null;
  /** Dispatches per token. */
  dispatchesPerToken: number;
  /** Results fetched per token. */
  readbacksPerToken: number;
  /** Buffers, bind groups and pipelines created per token. */
  objectsCreatedPerToken: number;
  /** Share of the time the device had nothing to do; needs timestamps. */
  gpuIdleFraction: number | null;
}

/** The wait for the first token. */
export interface BenchFirstToken {
  /** m. */
  imageTokens: number;
  /** Milliseconds, the tower included. */
  ms: number;
  /** What a new conversation predicts; `null` where its prompt is too short to tell. */
  predictedMs: number | null;
}

/** Predicted against measured waits for the first token, over all m: |predicted ÷ measured − 1|. */
export interface BenchPrediction {
  /** The median. */
  medianError: number;
  /** The largest. */
  worstError: number;
}

/** Milliseconds until ready. */
export interface BenchStartup {
  /** Finding the adapter and opening a device. */
  device: number;
  /** Compiling, as far as it was not hidden behind the weights. */
  pipelines: number;
  /** Reading, checking and uploading weights. */
  weights: number;
  /** The first run of every kernel. */
  warmUp: number;
}

/** The wait for the first token about several pictures. */
export interface BenchPictures {
  /** Pictures, each another one. */
  pictures: number;
  /** m of each. */
  imageTokens: number;
  /** Milliseconds, the tower for each picture included. */
  ms: number;
  /** Of those, the part that is left once the pictures are encoded. */
  encodedMs: number;
}

/** The wait for the first token, once the picture is encoded, milliseconds. */
export interface BenchChosen {
  /** m. */
  imageTokens: number;
  /** The question chooses: every question reads the picture anew. */
  questionMs: number;
  /** The first m of the order, for the first question about a picture. */
  spreadMs: number;
  /** The same for a later question, which finds the picture read. */
  spreadAgainMs: number;
  /** All image tokens, for the first question. */
  allMs: number;
}

/**
 * The longest wait after Stop in each stage; `null` where the work was over before it could be
 * stopped.
 */
export interface BenchStop {
  /** Milliseconds, while a picture is encoded. */
  pictureMs: number | null;
  /** Milliseconds, while a prompt is read. */
  promptMs: number | null;
  /** Milliseconds, while tokens are generated. */
  answerMs: number | null;
}

/** An instruction set that the kernels are compiled for. */
export type InstructionSet =
  /** Plain Rust: every processor. */
  | "plain"
  /** AVX2 with FMA: x86 processors from 2013 on. */
  | "avx2"
  /** AVX-512 with VNNI: x86 servers from 2019 on, and some others. */
  | "avx512"
  /** WebAssembly's SIMD128, if the module is compiled for it. */
  | "simd128"
  /** NEON: 64-bit ARM processors. */
  | "neon"
  /** NEON with products of bytes: 64-bit ARM processors from 2017 on, Apple's among them. */
  | "dotprod";

/** Rates of one device; `null` where it cannot be measured. */
export interface BenchCeilings {
  /** Reading a storage buffer larger than any cache, GB/s. */
  readGbS: number | null;
  /** Copying between buffers, GB/s read (as many are written). */
  copyGbS: number | null;
  /** Fused multiply-adds in f32, GFLOP/s. */
  fmaF32GflopS: number | null;
  /** The same in f16, if the device has `shader-f16`. */
  fmaF16GflopS: number | null;
  /** Packed 8-bit dot products, 10⁹ operations/s. */
  dot4I8GopS: number | null;
  /** Microseconds that one more dependent dispatch costs. */
  dispatchGapUs: number | null;
  /** Milliseconds from asking for 4 bytes to having them. */
  mapMs: number | null;
}

/**
 * One stage of a request with every dispatch timed alone, which is slower than the undisturbed run.
 */
export interface BenchStage {
  /** What ran. */
  stage: string;
  /** Milliseconds of all kernels together. */
  ms: number;
  /** The kernels, those that take longest first. */
  kernels: BenchKernel[];
}

/** All dispatches of one variant in a stage. */
export interface BenchKernel {
  /** The kernel and the constants that make the variant. */
  kernel: string;
  /** Dispatches. */
  count: number;
  /** Milliseconds of all of them. */
  ms: number;
  /** Of the stage's time. */
  share: number;
}

/** How to load a model. */
export interface LoadSettings {
  /**
   * `auto` (default: what was measured to be fastest), `cpu`, `gpu`, or part of a device's name.
   */
  adapter?: string;
  /** `fast` (default) or `exact`. */
  arithmetic?: string;
  /**
   * For checkpoint folders: `auto` (default: by the decoder's size), `q4`, `q5`, `q8`, `f16` or
   * `f32`. A pack has its own.
   */
  weights?: string;
  /** Room for tokens, at most the model's limit. */
  context?: number;
  /** What was learned before, by adapter, as `Loaded` told. */
  kernels?: Kernels;
}

/** How to answer a question. */
export interface AskSettings {
  /**
   * Image tokens to spend, one of the numbers that the model gives; without it the measured speed
   * decides.
   */
  imageTokens?: number;
  /**
   * How image tokens are chosen: `nested`, `spread`, `pool` or `random`; the model's own way by
   * default.
   */
  select?: string;
  /** Milliseconds to the first token that an automatic choice aims for. */
  targetMs?: number;
  /** The answer is cut after so many tokens. */
  maxNewTokens?: number;
  /** 0 always takes the likeliest token. */
  temperature?: number;
  /** Keep the likeliest tokens that together reach this probability; 1 keeps all. */
  topP?: number;
  /** Keep so many of the likeliest tokens; 0 keeps all. */
  topK?: number;
  /** Above 1: tokens that were already there are less likely. */
  repetitionPenalty?: number;
  /** The same seed gives the same answer. */
  seed?: number;
  /** The answer ends before any of these. */
  stop?: string[];
  /** Ids of an answer that was cut off: it is continued. */
  soFar?: number[];
  /**
   * Pictures and all that follows them are read again, although some of it was read before: for
   * times that can be compared.
   */
  reread?: boolean;
}

/** What to measure. */
export interface BenchSettings {
  /** Image tokens to measure the first token for; by default those worth comparing. */
  tokens?: number[];
  /** Prompt lengths. */
  prefill?: number[];
  /** Tokens computed together; none by default. */
  smallBatch?: number[];
  /** Contexts to generate at. */
  contexts?: number[];
  /** Seconds per figure. */
  patience?: number;
  /** Run the vision tower; true by default. */
  vision?: boolean;
  /** Take the time of every kernel as well, where the device has a clock. */
  profile?: boolean;
}

/** What holds where nothing else is said. */
export const DEFAULTS = {
  /** Room for tokens of picture and conversation, where the model allows so many. */
  context: 2048,
  /** An answer is cut after this many tokens. */
  maxNewTokens: 512,
  /** The same for models that write documents. */
  documentTokens: 4096,
  /** Milliseconds to the first token that an automatic choice of image tokens aims for. */
  targetMs: 2000,
  /**
   * Numbers of image tokens worth comparing: the paper's evaluation points, and this project's
   * steps. A model gives those up to its M.
   */
  ladder: [2, 4, 8, 16, 36, 64, 144, 256],
  /** Milliseconds that loading may take longer for measuring kernels. */
  tuningMs: 150,
  /** 0 always takes the likeliest token. */
  temperature: 0,
  /** 1 keeps all tokens. */
  topP: 1,
  /**
   * How many of the likeliest tokens are kept. The reference's library has this whenever it
   * samples; it has no effect at temperature 0.
   */
  topK: 50,
  /** 1 changes nothing. */
  repetitionPenalty: 1,
  /** The seed of what is drawn. */
  seed: 0,
  /** Prompt lengths that `mqt bench` measures. */
  benchPrefill: [16, 64, 128, 256, 512],
  /** Contexts that it generates at. */
  benchContexts: [100, 512, 1500],
  /** Seconds that it spends on one figure. */
  benchPatience: 0.5,
  /** Prompt lengths that the page's benchmark measures, which somebody waits for. */
  quickBenchPrefill: [16, 64],
  /** Contexts that it generates at. */
  quickBenchContexts: [100],
  /** Seconds that it spends on one figure. */
  quickBenchPatience: 0.2,
} as const;
