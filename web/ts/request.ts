// The fields and messages of a chat completion, read one by one: what is not known is refused by
// its name. `src/bin/mqt/serve/request.rs` and `messages.rs` do the same for the server.

import { EngineError } from "./errors";
import type { AskSettings } from "./generated";
import type { Told } from "./messages";
import { readAtMost } from "./network";
import type { CompletionRequest } from "./openai";

/** What a picture may have at most, as on the page. */
const MOST_PICTURE_BYTES = 200_000_000;
/** Strings that end an answer. */
const MOST_STOPS = 16;

export interface Asked {
  told: Told;
  /** Addresses of the pictures, in order. */
  pictures: string[];
  settings: AskSettings;
  stream: boolean;
  includeUsage: boolean;
}

export const wrong = (what: string, why: string) =>
  new EngineError("invalid-setting", `${what}: ${why}`, { what });

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The fields of an object that were not read yet; `null` is as good as absent. */
class Fields {
  private readonly left: Map<string, unknown>;

  constructor(
    value: unknown,
    private readonly at: string,
  ) {
    if (!isObject(value)) throw wrong(at || "request", "it is not an object");
    this.left = new Map(Object.entries(value).filter(([, value]) => value != null));
  }

  name = (field: string) => (this.at ? `${this.at}.${field}` : field);

  take(name: string): unknown {
    const value = this.left.get(name);
    this.left.delete(name);
    return value;
  }

  number(name: string, least: number, most: number, whole = false): number | undefined {
    const value = this.take(name);
    if (value === undefined) return undefined;
    const kind = whole ? "a whole number" : "a number";
    const fits = typeof value === "number" && value >= least && value <= most;
    if (!fits || (whole && !Number.isSafeInteger(value)))
      throw wrong(this.name(name), `it is not ${kind} from ${least} to ${most}`);
    return value;
  }

  truth(name: string): boolean {
    const value = this.take(name) ?? false;
    if (typeof value !== "boolean") throw wrong(this.name(name), "it is neither true nor false");
    return value;
  }

  /** Refuses what was not read. */
  end(): void {
    const [name] = this.left.keys();
    if (name !== undefined) throw wrong(this.name(name), "this field is not known here");
  }
}

const MOST = 2 ** 32 - 1;

/** Reads a request for the model of this name. */
export function read(request: CompletionRequest, model: string): Asked {
  const fields = new Fields(request, "");
  const asked = fields.take("model");
  if (asked !== undefined && asked !== model)
    throw wrong("model", `the loaded one is \`${model}\``);
  const stream = fields.truth("stream");
  const options = new Fields(fields.take("stream_options") ?? {}, "stream_options");
  const includeUsage = options.truth("include_usage");
  options.end();
  fields.number("n", 1, 1, true);
  const format = new Fields(fields.take("response_format") ?? { type: "text" }, "response_format");
  if (format.take("type") !== "text") throw wrong("response_format.type", "only text is possible");
  const settings = readSettings(fields);
  const imageTokens = fields.number("image_tokens", 1, MOST, true);
  const messages = fields.take("messages");
  fields.end();
  const reader = new Reader();
  if (!Array.isArray(messages)) throw wrong("messages", "it is not a list");
  for (const [i, message] of messages.entries()) reader.message(message, `messages[${i}]`);
  const { told, pictures } = reader.end();
  return { told: { ...told, imageTokens }, pictures, settings, stream, includeUsage };
}

function readSettings(fields: Fields): AskSettings {
  const old = fields.number("max_tokens", 1, MOST, true);
  const most = fields.number("max_completion_tokens", 1, MOST, true);
  if (old !== undefined && most !== undefined && old !== most)
    throw wrong("max_completion_tokens", "`max_tokens` says something else; give one of them");
  const topP = fields.number("top_p", 0, 1);
  const settings: AskSettings = {
    maxNewTokens: most ?? old,
    temperature: fields.number("temperature", 0, 2),
    // 0 keeps the likeliest token only, and so does the smallest number above it.
    topP: topP === 0 ? 1e-30 : topP,
    topK: fields.number("top_k", 0, MOST, true),
    repetitionPenalty: fields.number("repetition_penalty", 0.01, 100),
    seed: fields.number("seed", 0, Number.MAX_SAFE_INTEGER, true),
    stop: stops(fields.take("stop")),
  };
  const said = Object.entries(settings).filter(([, value]) => value !== undefined);
  return Object.fromEntries(said);
}

function stops(value: unknown): string[] | undefined {
  if (value === undefined) return undefined;
  const list: unknown[] = Array.isArray(value) ? value : [value];
  if (!list.every(stop => typeof stop === "string"))
    throw wrong("stop", "it is neither a string nor a list of strings");
  if (list.length > MOST_STOPS) throw wrong("stop", `at most ${MOST_STOPS} strings are possible`);
  return list;
}

interface Said {
  text: string;
  pictures: number;
}

/** A text on a line of its own. */
const join = (text: string, more: string) => (text && more ? `${text}\n${more}` : text + more);

/** Reads messages in order: system, then users and assistants in turn. */
class Reader {
  private system: string | undefined;
  private readonly turns: Told["turns"] = [];
  private readonly pictures: string[] = [];
  private said: Said | undefined;
  private answer: string | undefined;
  private detail: Told["detail"];

  message(value: unknown, at: string): void {
    const message = new Fields(value, at);
    const [role, content] = [message.take("role"), message.take("content")];
    // What a client sends back of an answer.
    if (role === "assistant") message.take("refusal");
    message.end();
    const said = this.content(content, `${at}.content`, role === "user");
    if (role === "system" || role === "developer") {
      if (this.said) throw wrong(at, "a system message is only possible before all others");
      this.system = join(this.system ?? "", said.text);
    } else if (role === "user") {
      this.finishTurn();
      const { text = "", pictures = 0 } = this.said ?? {};
      // Two messages in a row are one.
      this.said = { text: join(text, said.text), pictures: pictures + said.pictures };
    } else if (role === "assistant") {
      if (!this.said) throw wrong(at, "the first message after the system's has to be a user's");
      this.answer = join(this.answer ?? "", said.text);
    } else throw wrong(`${at}.role`, "it is none of system, developer, user and assistant");
  }

  private finishTurn(): void {
    if (!this.said || this.answer === undefined) return;
    const { text: question, pictures } = this.said;
    this.turns.push({ question, answer: this.answer, pictures });
    this.said = this.answer = undefined;
  }

  private content(value: unknown, at: string, mayShow: boolean): Said {
    if (typeof value === "string") return { text: value, pictures: 0 };
    if (!Array.isArray(value)) throw wrong(at, "it is neither a text nor a list");
    const said: Said = { text: "", pictures: 0 };
    for (const [i, item] of value.entries()) {
      const part = new Fields(item, `${at}[${i}]`);
      const type = part.take("type");
      if (type === "text") {
        const text = part.take("text");
        if (typeof text !== "string") throw wrong(part.name("text"), "it is not a text");
        said.text = join(said.text, text);
      } else if (type === "image_url" && mayShow) {
        this.picture(part.take("image_url"), part.name("image_url"));
        said.pictures++;
      } else if (type === "image_url") throw wrong(`${at}[${i}]`, "only a user shows pictures");
      else throw wrong(part.name("type"), "it is neither text nor image_url");
      part.end();
    }
    return said;
  }

  private picture(value: unknown, at: string): void {
    const image = new Fields(value, at);
    const [url, detail] = [image.take("url"), image.take("detail")];
    image.end();
    if (typeof url !== "string") throw wrong(`${at}.url`, "it is not an address");
    if (detail !== undefined && detail !== "low" && detail !== "high" && detail !== "auto")
      throw wrong(`${at}.detail`, "it is none of low, high and auto");
    if (detail && this.detail && detail !== this.detail)
      throw wrong(`${at}.detail`, "pictures of one request have one detail");
    this.detail ??= detail;
    this.pictures.push(url);
  }

  end(): { told: Told; pictures: string[] } {
    if (this.answer !== undefined) throw wrong("messages", "the last one has to be a user's");
    const question = this.said?.text ?? "";
    if (!question.trim()) throw wrong("messages", "the question is empty");
    const { system, turns, detail, pictures } = this;
    return { told: { system, turns, detail, question }, pictures };
  }
}

/** The bytes of a picture. Other servers than the page's are not asked. */
export async function fetchPicture(address: string, signal?: AbortSignal): Promise<Uint8Array> {
  const failed = (why: string) => {
    const shown = address.startsWith("data:") ? "data:…" : address;
    return new EngineError("image-unreadable", `the picture ${shown} ${why}`, { file: shown });
  };
  let url: URL;
  try {
    url = new URL(address, document.baseURI);
  } catch {
    throw failed("has no valid address");
  }
  const isOwn = url.protocol === "data:" || url.origin === location.origin;
  if (!isOwn || !/^(data|blob|https?):$/.test(url.protocol))
    throw failed("is on another server: fetch it yourself, and give its bytes as data: or blob:");
  try {
    const response = await fetch(url, { signal });
    if (!response.ok) throw failed(`cannot be fetched: the server answered ${response.status}`);
    const bytes = await readAtMost(response, MOST_PICTURE_BYTES);
    if (!bytes) throw failed(`is larger than ${MOST_PICTURE_BYTES} bytes`);
    return bytes;
  } catch (error) {
    if (signal?.aborted || error instanceof EngineError) throw EngineError.from(error);
    throw failed(`cannot be fetched: ${(error as Error).message}`);
  }
}
