// The sample pictures that come with the bundled model, and what it is asked about them.

const pictures = import.meta.glob<string>("../../models/toybox/samples/*.png", {
  query: "?url",
  import: "default",
  eager: true,
});
const questions = import.meta.glob<string>("../../models/toybox/samples/questions.jsonl", {
  query: "?raw",
  import: "default",
  eager: true,
});

export interface Sample {
  name: string;
  url: string;
  questions: { text: string; answer: string }[];
}

const lines = Object.values(questions)
  .flatMap(text => text.trim().split("\n"))
  .map(line => JSON.parse(line) as { image: string; text: string; answer?: string });

/** As people write who are read by others. */
function sentence(text: string): string {
  const plain = text.replace(/ pls$/, "");
  const asks = /^(what|how|which|who|where|is|are)\b/i.test(plain) && !plain.endsWith("?");
  return plain[0]!.toUpperCase() + plain.slice(1) + (asks ? "?" : "");
}

const byNumber = ([a]: [string, string], [b]: [string, string]) =>
  a.localeCompare(b, "en", { numeric: true });

export const samples: Sample[] = Object.entries(pictures)
  .sort(byNumber)
  .map(([path, url]) => {
    const name = path.split("/").pop()!;
    const own = lines.filter(line => line.image === name);
    return {
      name,
      url,
      questions: own.map(({ text, answer }) => ({ text: sentence(text), answer: answer ?? "" })),
    };
  });
