// `engine.chat.completions.create`: OpenAI's interface beside the engine's own.

import type { Engine } from "./engine";
import { EngineError } from "./errors";
import type { Answer } from "./generated";
import type {
  Completion,
  CompletionChunk,
  CompletionRequest,
  CompletionTimings,
  CompletionFinish,
  Usage,
} from "./openai";
import { type Asked, fetchPicture, read } from "./request";

export interface CompletionOptions {
  /** Stops the answer. */
  signal?: AbortSignal;
}

/** Chunks of an answer. Leaving the loop over them stops it; once stopped, the loop just ends. */
export interface CompletionStream extends AsyncIterable<CompletionChunk> {
  /** Stops the answer, as in OpenAI's client. */
  readonly controller: AbortController;
}

export class Chat {
  readonly completions: Completions;

  constructor(engine: Engine) {
    this.completions = new Completions(engine);
  }
}

export class Completions {
  /** Requests are answered one after the other: there is one conversation. */
  private last: Promise<unknown> = Promise.resolve();

  constructor(private readonly engine: Engine) {}

  /** Answers the last message of a conversation. */
  create(
    request: CompletionRequest & { stream: true },
    options?: CompletionOptions,
  ): Promise<CompletionStream>;
  create(
    request: CompletionRequest & { stream?: false | null },
    options?: CompletionOptions,
  ): Promise<Completion>;
  create(
    request: CompletionRequest,
    options?: CompletionOptions,
  ): Promise<Completion | CompletionStream>;
  async create(
    request: CompletionRequest,
    { signal }: CompletionOptions = {},
  ): Promise<Completion | CompletionStream> {
    const asked = read(request, this.engine.model.name);
    const controller = new AbortController();
    const stopped = signal ? AbortSignal.any([signal, controller.signal]) : controller.signal;
    const head = new Head(this.engine);
    if (asked.stream) {
      const chunks = this.chunks(head, asked, stopped, controller);
      return { controller, [Symbol.asyncIterator]: () => chunks };
    }
    const trim = new Trim();
    let content = "";
    const pieces = this.answer(asked, stopped);
    for (;;) {
      const { done, value } = await pieces.next();
      if (done) return head.whole(content, value);
      content += trim.push(value);
    }
  }

  /** The pieces of an answer; returns all of it. */
  private async *answer(
    { told, pictures, settings }: Asked,
    signal: AbortSignal,
  ): AsyncGenerator<string, Answer> {
    let done = () => {};
    const before = this.last;
    this.last = new Promise<void>(free => (done = free));
    try {
      await before;
      const files = await Promise.all(pictures.map(url => fetchPicture(url, signal)));
      const tokens = await this.engine.converse(told, files, signal);
      const answering = this.engine.ask({ ...settings, question: told.question, tokens, signal });
      yield* answering;
      const answer = await answering.answer;
      if (answer.finishReason === "cancelled") throw new EngineError("cancelled", "stopped");
      return answer;
    } finally {
      done();
    }
  }

  private async *chunks(
    head: Head,
    asked: Asked,
    signal: AbortSignal,
    controller: AbortController,
  ): AsyncGenerator<CompletionChunk> {
    const trim = new Trim();
    const pieces = this.answer(asked, signal);
    try {
      if (signal.aborted) return;
      yield head.chunk({ role: "assistant", content: "" }, null);
      for (;;) {
        const { done, value } = await pieces.next();
        if (signal.aborted) return;
        if (done) {
          yield { ...head.chunk({}, finishReason(value)), timings: timings(value) };
          if (asked.includeUsage) yield { ...head.empty(), usage: usage(value) };
          return;
        }
        const content = trim.push(value);
        if (content) yield head.chunk({ content }, null);
      }
    } catch (error) {
      // Whoever stopped it knows.
      if (!signal.aborted) throw error;
    } finally {
      controller.abort();
      // Whoever asks next waits for its end.
      await pieces.return(undefined as never).catch(() => undefined);
    }
  }
}

/** What all parts of one answer have in common. */
class Head {
  private readonly id = `chatcmpl-${Math.random().toString(16).slice(2)}`;
  private readonly created = Math.floor(Date.now() / 1000);
  private readonly model: string;
  private readonly fingerprint: string;

  constructor({ model: { name, weights, sha256 } }: Engine) {
    this.model = name;
    this.fingerprint = `mqt-${sha256.slice(0, 8) || "folder"}-${weights}`;
  }

  private get parts() {
    const { id, created, model, fingerprint: system_fingerprint } = this;
    return { id, created, model, system_fingerprint };
  }

  whole(content: string, answer: Answer): Completion {
    const message = { role: "assistant" as const, content, refusal: null };
    const choice = { index: 0 as const, message, logprobs: null };
    return {
      ...this.parts,
      object: "chat.completion",
      choices: [{ ...choice, finish_reason: finishReason(answer) }],
      usage: usage(answer),
      timings: timings(answer),
    };
  }

  empty(): CompletionChunk {
    return { ...this.parts, object: "chat.completion.chunk", choices: [] };
  }

  chunk(
    delta: CompletionChunk["choices"][0]["delta"],
    finish_reason: CompletionFinish | null,
  ): CompletionChunk {
    return { ...this.empty(), choices: [{ index: 0, delta, logprobs: null, finish_reason }] };
  }
}

const finishReason = (answer: Answer): CompletionFinish =>
  answer.finishReason === "stop" ? "stop" : "length";

function usage({ promptTokens, completionTokens, images, cachedTokens }: Answer): Usage {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: {
      image_tokens: images.reduce((sum, { imageTokens }) => sum + imageTokens, 0),
      cached_tokens: cachedTokens,
    },
  };
}

function timings({ timingsMs, tokensPerSecond, visionRuns }: Answer): CompletionTimings {
  const { decodeImage: decode_image, firstToken: first_token, ...rest } = timingsMs;
  return {
    ...rest,
    decode_image,
    first_token,
    tokens_per_second: tokensPerSecond,
    vision_runs: visionRuns,
  };
}

/** White space around a whole answer is left out, also where it comes in pieces. */
class Trim {
  private held = "";
  private started = false;

  push(text: string): string {
    const rest = this.started ? text : text.trimStart();
    const solid = rest.trimEnd();
    const piece = solid ? this.held + solid : "";
    if (solid) {
      this.held = "";
      this.started = true;
    }
    this.held += rest.slice(solid.length);
    return piece;
  }
}
