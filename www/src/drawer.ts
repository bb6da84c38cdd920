// The drawer beside the question: how words are chosen, where an answer ends, how the conversation opens.

import { app } from "./app";
import { find } from "./dom";
import { type Sampling, onLink, settings } from "./settings";
import * as tokens from "./tokens";

type Field = HTMLInputElement | HTMLTextAreaElement;

interface Setting {
  field: string;
  show: (now: Sampling) => string;
  read: (text: string) => Partial<Sampling>;
  changed?: () => void;
}

const retarget = () => void tokens.refresh().then(() => app.prepare());
const number = (field: string, key: keyof Sampling, scale = 1, changed?: () => void): Setting => ({
  field,
  show: (now) => String((now[key] as number) / scale),
  read: (text) => ({ [key]: Number(text) * scale }),
  changed,
});

const FIELDS: Setting[] = [
  number("#temperature", "temperature"),
  number("#top-p", "topP"),
  number("#top-k", "topK"),
  number("#repetition", "repetitionPenalty"),
  number("#most", "maxNewTokens"),
  number("#seed", "seed"),
  number("#target", "targetMs", 1000, retarget),
  { field: "#stop-text", show: ({ stop }) => stop[0] ?? "", read: (text) => ({ stop: text ? [text] : [] }) },
  { field: "#system", show: ({ system }) => system, read: (text) => ({ system: text.trim() }), changed: () => void app.instruct() },
];

function show(): void {
  for (const { field, show } of FIELDS) find<Field>(field).value = show(settings.sampling());
}

export function setUp(): void {
  for (const { field, read, changed } of FIELDS) {
    const input = find<Field>(field);
    input.addEventListener("change", () => {
      if (!input.validity.valid || (input.value === "" && input.type === "number")) return;
      settings.change(read(input.value));
      changed?.();
    });
  }
  show();
  onLink(() => {
    show();
    tokens.fromLink();
    void app.instruct();
  });
}
