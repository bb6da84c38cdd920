// Uses everything a strict consumer would: what this file says is checked by `tsc`, and run in
// every bundler.

import { Engine, ERROR_CODES, type ErrorCode, MqtError, type Progress } from "mqt-web";

declare global {
  var result: Promise<Result>;
}

interface Result {
  answer: string;
  pieces: number;
  imageTokens: number;
  completion: string | null | undefined;
  chunks: number;
  code: ErrorCode | undefined;
}

async function run(): Promise<Result> {
  const image = await (await fetch("/picture.png")).blob();
  const baseUrl = new URLSearchParams(location.search).get("base") ?? undefined;
  const places = baseUrl === undefined ? {} : { baseUrl };
  const phases: Progress["phase"][] = [];
  const engine = await Engine.load("/model/manifest.json", {
    adapter: "cpu",
    onProgress: ({ phase }) => phases.push(phase),
    ...places,
  });
  const question = "How many things are there?";
  const answering = engine.ask({ image, question, tokens: 64 });
  let pieces = 0;
  for await (const text of answering) pieces += text.length > 0 ? 1 : 0;
  const { answer, imageTokens } = await answering.answer;
  const url = URL.createObjectURL(image);
  const messages = [
    {
      role: "user" as const,
      content: [
        { type: "image_url" as const, image_url: { url, detail: "high" as const } },
        { type: "text" as const, text: question },
      ],
    },
  ];
  const whole = await engine.chat.completions.create({ messages, max_tokens: 20 });
  let chunks = 0;
  for await (const chunk of await engine.chat.completions.create({ messages, stream: true }))
    chunks += chunk.choices[0]?.delta.content ? 1 : 0;
  let code: ErrorCode | undefined;
  try {
    await Engine.load("/nothing.json", { keep: "memory", ...places });
  } catch (error) {
    if (error instanceof MqtError && ERROR_CODES.includes(error.code)) code = error.code;
  }
  engine.dispose();
  return {
    answer,
    pieces,
    imageTokens,
    completion: whole.choices[0]?.message.content,
    chunks,
    code,
  };
}

globalThis.result = run();
