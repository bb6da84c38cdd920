// The drawer beside the question: how words are chosen, where an answer ends, how the conversation
// opens.

import { app } from "./app";
import { find } from "./dom";
import { remark } from "./notices";
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
  show: now => String((now[key] as number) / scale),
  read: text => ({ [key]: Number(text) * scale }),
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
  {
    field: "#stop-text",
    show: ({ stop }) => stop[0] ?? "",
    read: text => ({ stop: text ? [text] : [] }),
  },
  {
    field: "#system",
    show: ({ system }) => system,
    read: text => ({ system: text.trim() }),
    changed: () => void instruct(),
  },
];

/** What the engine took last. */
let accepted = settings.sampling().system;

/**
 * Tells the engine how the conversation opens; what it refuses is said at the field, and the one
 * before goes on.
 */
async function instruct(): Promise<void> {
  const { system } = settings.sampling();
  try {
    await app.instruct();
    accepted = system;
  } catch (error) {
    settings.change({ system: accepted });
    const field = find<Field>("#system");
    field.setCustomValidity((error as Error).message);
    if (!field.reportValidity() && field.checkVisibility?.() === false)
      remark((error as Error).message);
  }
}

function show(): void {
  for (const { field, show } of FIELDS) find<Field>(field).value = show(settings.sampling());
}

/** What a link changes in a closed drawer is said outside of it. */
function sayLinked(): void {
  const { system, stop } = settings.sampling();
  const what = [system && "system prompt", stop[0] && "text to stop before"]
    .filter(Boolean)
    .join(" and ");
  if (what) remark(`The link brought a ${what}: see Sampling.`);
}

export function setUp(): void {
  for (const { field, read, changed } of FIELDS) {
    const input = find<Field>(field);
    input.addEventListener("input", () => input.setCustomValidity(""));
    input.addEventListener("change", () => {
      if (input.value === "" && input.type === "number") input.setCustomValidity("Give a number.");
      if (!input.reportValidity()) return;
      settings.change(read(input.value));
      changed?.();
    });
  }
  show();
  onLink(() => {
    show();
    tokens.fromLink();
    void instruct();
    sayLinked();
  });
  sayLinked();
}
