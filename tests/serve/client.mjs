// The official `openai` client for JavaScript, unmodified, against a running `mqt serve`: the same
// checks as client.py.
//
//     mqt serve --port 8080 &
//     npm install --no-save --prefix /tmp/openai openai
//     NODE_PATH=/tmp/openai/node_modules node tests/serve/client.mjs \
//         http://127.0.0.1:8080/v1 models/toybox/samples/toybox-1.png
//
// Prints one line for each check, and ends with an error at the first that fails.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const OpenAI = createRequire(import.meta.url)("openai");
const [base, path] = process.argv.slice(2);
const client = new OpenAI({ baseURL: base, apiKey: "none", maxRetries: 0 });
const model = (await client.models.list()).data[0].id;
const picture = `data:image/png;base64,${readFileSync(path, "base64")}`;

const about = (text, url = picture, detail = "low") => ({
  role: "user",
  content: [
    { type: "image_url", image_url: { url, detail } },
    { type: "text", text },
  ],
});
const ask = (messages, more = {}, options = {}) =>
  client.chat.completions.create({ model, messages, ...more }, options);
const said = (reply) => reply.choices[0].message.content;

function passed(name, so) {
  console.log(`${so ? "ok" : "FAILED"}  ${name}`);
  if (!so) process.exit(1);
}

passed("text", said(await ask([{ role: "user", content: "Hello" }])) !== null);

const question = about("what do you see?");
const first = await ask([question]);
const answer = said(first);
const tokens = (reply) => reply.usage.prompt_tokens_details.image_tokens;
passed(`a picture, detail low: ${JSON.stringify(answer)}`, tokens(first) === 16);
const high = await ask([about("what do you see?", picture, "high")]);
passed("detail high", tokens(high) > 16);
passed("image_tokens", tokens(await ask([question], { image_tokens: 5 })) === 5);
const two = { role: "user", content: [question.content[0], ...question.content] };
passed("two pictures", tokens(await ask([two])) > 16);

const pieces = [];
let usage = null;
const options = { stream: true, stream_options: { include_usage: true } };
for await (const chunk of await ask([question], options)) {
  pieces.push(chunk.choices[0]?.delta.content ?? "");
  usage = chunk.usage ?? usage;
}
passed("a stream", pieces.join("") === answer && usage.total_tokens > 16);

const turns = [question, { role: "assistant", content: answer }];
turns.push({ role: "user", content: "how many things are there?" });
passed("an earlier turn", (await ask(turns)).usage.prompt_tokens > first.usage.prompt_tokens);
const drawn = { temperature: 1, seed: 7 };
passed("a seed", said(await ask([question], drawn)) === said(await ask([question], drawn)));

const schema = {
  type: "object",
  properties: { count: { type: "integer", minimum: 0, maximum: 9 }, sure: { type: "boolean" } },
  required: ["count", "sure"],
  additionalProperties: false,
};
const format = (schema) => ({
  response_format: { type: "json_schema", json_schema: { name: "x", strict: true, schema } },
});
const kept = JSON.parse(said(await ask([question], format(schema))));
passed(
  `a schema: ${JSON.stringify(kept)}`,
  Number.isInteger(kept.count) && typeof kept.sure === "boolean",
);
const parsed = await client.chat.completions.parse({
  model,
  messages: [question],
  ...format(schema),
});
passed("a schema, parsed by the client", Number.isInteger(parsed.choices[0].message.parsed.count));
const choices = ["a zebra", "a whale"];
passed("choices", choices.includes(said(await ask([question], { choices }))));
const likely = await ask([question], { logprobs: true, top_logprobs: 3 });
const listed = likely.choices[0].logprobs.content;
const best = (token) => token.top_logprobs[0].token === token.token;
passed("logprobs", listed.length === likely.usage.completion_tokens && listed.every(best));

const left = new AbortController();
const stream = await ask([question], { stream: true }, { signal: left.signal });
for await (const _ of stream) break;
left.abort();
passed("a client that leaves", said(await ask([question])) === answer);

async function refused(name, kind, code, more, options) {
  try {
    await ask([question], more, options);
    passed(name, false);
  } catch (error) {
    passed(`${name}: ${error.message}`, error instanceof kind && error.code === code);
  }
}

const bad = OpenAI.BadRequestError;
await refused("a wrong model", OpenAI.NotFoundError, "model_not_found", { model: "gpt-4o" });
await refused("a schema that cannot be kept to", bad, "invalid_value", format({ not: {} }));
const at = (url) => ({ messages: [about("?", url)] });
await refused("a file", bad, "unsupported_value", at("file:///etc/passwd"));
await refused("a private address", bad, "unsupported_value", at("http://169.254.169.254/"));
const long = at(`data:image/png;base64,${"A".repeat(60_000_000)}`);
await refused("60 MB", OpenAI.APIError, "body_too_large", long);
const headers = { origin: "http://evil.example" };
await refused("a foreign origin", OpenAI.PermissionDeniedError, "origin_not_allowed", {}, {
  headers,
});
const health = await fetch(`${base.replace(/\/v1$/, "")}/health`);
passed("the server is well", health.status === 200);
