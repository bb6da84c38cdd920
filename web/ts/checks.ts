// What JavaScript lets through and TypeScript would not: a request or a picture of a wrong kind.

import { EngineError } from "./errors";

const wrong = (what: string, why: string) => new EngineError("invalid-setting", why, { what });

const fromAddress = "for a picture at an address, `await (await fetch(url)).blob()`";

/** Throws unless this is a picture file. */
export function checkPicture(image: unknown): void {
  if (!(image instanceof Blob)) throw wrong("image", `a picture is a Blob or File; ${fromAddress}`);
}

const isList = (value: unknown): value is Iterable<unknown> =>
  Array.isArray(value) || value instanceof FileList;

/** Throws unless this is what `ask` takes; the engine itself looks at the settings. */
export function checkRequest(request: unknown): void {
  if (typeof request !== "object" || request === null)
    throw wrong("request", '`ask` takes an object, such as { image, question: "What is this?" }');
  const { image, question } = request as Record<string, unknown>;
  if (typeof question !== "string") throw wrong("question", "`question` is a text");
  if (image === undefined || image === null || image instanceof Blob) return;
  if (!isList(image) || ![...image].every(one => one instanceof Blob))
    throw wrong("image", `\`image\` is a Blob or File, or a list of them; ${fromAddress}`);
}

/** The bytes of a picture file. */
export async function read(image: Blob): Promise<Uint8Array> {
  checkPicture(image);
  try {
    return new Uint8Array(await image.arrayBuffer());
  } catch (error) {
    throw new EngineError(
      "image-unreadable",
      `the picture cannot be read any more; was the file changed or removed? (${(error as Error).message})`,
    );
  }
}
