// OpenAI's shapes of a chat completion, as far as an engine in a browser has what they say. `mqt
// serve` returns the same.

/** A part of a message: a text, or a picture by address (`data:`, `blob:`, or this page's server). */
export type ContentPart =
  | { type: "text"; text: string }
  | { type: "image_url"; image_url: { url: string; detail?: Detail } };

/** `low`: at most 16 image tokens, `high`: all, `auto`: as many as the measured speed allows. */
export type Detail = "low" | "high" | "auto";

export type Message =
  | { role: "system" | "developer"; content: string | ContentPart[] }
  | { role: "user"; content: string | ContentPart[] }
  | { role: "assistant"; content: string | ContentPart[] };

/** What can be asked. Every other field is refused by its name. */
export interface CompletionRequest {
  messages: Message[];
  /** The loaded model's name, if it is given at all. */
  model?: string;
  /** The answer comes in chunks, to be read with `for await`. */
  stream?: boolean;
  stream_options?: { include_usage?: boolean };
  /** The answer is cut after so many tokens. */
  max_tokens?: number;
  max_completion_tokens?: number;
  /** 0, the default, always takes the likeliest token. */
  temperature?: number;
  top_p?: number;
  top_k?: number;
  repetition_penalty?: number;
  seed?: number;
  stop?: string | string[];
  /** Image tokens of each picture, instead of `detail`. */
  image_tokens?: number;
  /** 1. */
  n?: number;
  response_format?: { type: "text" };
}

export type CompletionFinish = "stop" | "length";

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  prompt_tokens_details: {
    /** Image tokens of all pictures. */
    image_tokens: number;
    /** Tokens of the prompt that were computed before. */
    cached_tokens: number;
  };
}

/** Milliseconds of each stage, and how fast it was. */
export type CompletionTimings = Record<string, number>;

export interface Completion {
  id: string;
  object: "chat.completion";
  /** Seconds since 1970. */
  created: number;
  model: string;
  system_fingerprint: string;
  choices: {
    index: 0;
    message: { role: "assistant"; content: string; refusal: null };
    logprobs: null;
    finish_reason: CompletionFinish;
  }[];
  usage: Usage;
  timings: CompletionTimings;
}

export interface CompletionChunk {
  id: string;
  object: "chat.completion.chunk";
  created: number;
  model: string;
  system_fingerprint: string;
  /** Empty in the chunk that has the usage. */
  choices: {
    index: 0;
    delta: { role?: "assistant"; content?: string };
    logprobs: null;
    finish_reason: CompletionFinish | null;
  }[];
  usage?: Usage;
  timings?: CompletionTimings;
}
