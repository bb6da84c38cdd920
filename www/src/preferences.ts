// The Settings dialog: how words are chosen, where an answer ends, how the conversation opens, what
// is kept on this device.

import { forgetPictures } from "mqt-web";
import { page } from "./actions";
import { find, h } from "./dom";
import * as history from "./history";
import { remark } from "./notices";
import { selected, ways } from "./selecting";
import { type Sampling, onLink, settings } from "./settings";
import * as tokens from "./tokens";
import { settings as words } from "./words";

type Field = HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement;

interface Setting {
  field: string;
  show: (now: Sampling) => string;
  read: (text: string) => Partial<Sampling>;
  changed?: () => void;
}

const retarget = () => void tokens.refresh().then(() => page.prepare());
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
  {
    field: "#select",
    show: () => selected() ?? "",
    read: text => ({ select: text as Sampling["select"] }),
    changed: () => {
      void tokens.reselect().then(() => page.prepare());
    },
  },
];

/** The ways of choosing image tokens that the model knows, if there is a choice. */
function offerWays(): void {
  const field = find<HTMLSelectElement>("#select");
  const [own, ...others] = ways();
  find("#select-line").hidden = others.length === 0;
  if (!own) return;
  const option = (value: string, text: string) => h<HTMLOptionElement>("option", { value }, text);
  field.replaceChildren(
    option("", words.own(own)),
    ...others.map(way => option(way, words.ways[way])),
  );
  field.value = selected() ?? "";
}

const box = () => find<HTMLDialogElement>("#settings");

/** What the engine took last. */
let accepted = settings.sampling().system;

/**
 * Tells the engine how the conversation opens; what it refuses is said at the field, and the one
 * before goes on.
 */
async function instruct(): Promise<void> {
  const { system } = settings.sampling();
  try {
    await page.instruct();
    accepted = system;
  } catch (error) {
    settings.change({ system: accepted });
    const field = find<Field>("#system");
    field.setCustomValidity((error as Error).message);
    if (!field.reportValidity() && !box().open) remark((error as Error).message);
  }
}

function show(): void {
  for (const { field, show } of FIELDS) {
    const input = find<Field>(field);
    input.setCustomValidity("");
    input.value = show(settings.sampling());
  }
  find<HTMLInputElement>("#keep-history").checked = history.isOn();
}

/** What a link changes in a closed dialog is said outside of it. */
function sayLinked(): void {
  const { system, stop } = settings.sampling();
  const what = [system && words.linkedSystem, stop[0] && words.linkedStop].filter(Boolean);
  if (what.length > 0) remark(words.linked(what.join(words.and)));
}

export function open(): void {
  offerWays();
  box().showModal();
}

function reset(): void {
  settings.reset();
  tokens.reset();
  show();
  void tokens.reselect();
  retarget();
  void instruct();
}

export function setUp(): void {
  for (const { field, read, changed } of FIELDS) {
    const input = find<Field>(field);
    input.addEventListener("input", () => input.setCustomValidity(""));
    input.addEventListener("change", () => {
      if (input.value === "" && input.type === "number") input.setCustomValidity(words.number);
      if (!input.reportValidity()) return;
      settings.change(read(input.value));
      changed?.();
    });
  }
  const keep = find<HTMLInputElement>("#keep-history");
  keep.addEventListener("change", () => {
    void history.turn(keep.checked);
    void page.engine?.keepPictures(keep.checked);
    if (!keep.checked) void forgetPictures();
  });
  find("#reset").addEventListener("click", reset);
  find("#settings .close").addEventListener("click", () => box().close());
  // What is refused is seen, not left behind; who closes the dialog otherwise gives it up.
  find("#settings-done").addEventListener("click", () => {
    if (FIELDS.every(({ field }) => find<Field>(field).reportValidity())) box().close();
  });
  box().addEventListener("close", show);
  box().addEventListener("click", event => event.target === box() && box().close());
  show();
  onLink(() => {
    show();
    tokens.fromLink();
    void instruct();
    void tokens.reselect();
    sayLinked();
  });
  sayLinked();
}
