// The cards for every way in which things go wrong: what happened, what was kept, what to press.
// And the one for news.

import { type EngineError, type ErrorCode, shown } from "mqt-web";
import { type Loadable, app } from "./app";
import { bytes, copy, count, h } from "./dom";
import { rebuild } from "./failures";
import type { Update } from "./lookup";
import * as models from "./models";
import { type Action, type Notice, clear, otherModel, recorded, sentence } from "./notices";
import { nearestStep } from "./offer";
import { report } from "./report";
import * as tokens from "./tokens";
import type { Probe } from "./webgpu";

const onProcessor: Action = {
  label: "Use the processor instead",
  run: () => app.switchTo({ adapter: "cpu" }),
};
const again: Action = { label: "Try again", run: () => app.start(), main: true };
/** The manifest that is stored may name files that its server has no more. */
const afresh: Action = {
  ...again,
  run: async () => app.start({ refresh: !(await app.isStored()) }),
};

function copyReport(this: HTMLElement): void {
  void copy(report(), this);
}

export const noWebGpu = (seen: Probe): Notice => ({
  kind: "trouble",
  title: "No WebGPU here",
  text: [
    shown(seen.reason),
    seen.step,
    "Small models, like the toybox, also run on the processor: slower, with the same answers. The mqt program for the command line uses graphics cards that browsers do not.",
    recorded(),
  ].filter(Boolean),
  actions: [
    { ...onProcessor, main: true },
    { label: "Try again", run: () => app.start() },
    { label: "Copy report", run: copyReport },
  ],
});

export const weakAdapter = (seen: Probe): Notice => ({
  kind: "trouble",
  title: "A weak graphics adapter",
  text: [
    seen.reason,
    seen.step || "The processor can run small models instead.",
    "Nothing was downloaded yet.",
  ],
  actions: [
    { label: "Try it anyway", run: () => app.start({ force: true }), main: true },
    onProcessor,
    { label: "Copy report", run: copyReport },
  ],
});

export function storageFull({ message, facts }: EngineError): Notice {
  const numbers = facts.need
    ? `It needs ${bytes(facts.need)} more; ${facts.have === undefined ? "less is" : `${bytes(facts.have)} are`} left.`
    : message;
  return {
    kind: "trouble",
    title: "No room to store the model",
    text: [
      numbers,
      "Browsers allow a share of the free disk, and private windows little or nothing. What was stored before is kept.",
    ],
    actions: [
      {
        label: "Keep in memory this time",
        run: () => app.start({ force: true, keep: "memory" }),
        main: true,
      },
      { label: "Free some room…", run: () => models.openStorage() },
      { label: "Try again", run: () => app.start() },
    ],
  };
}

export function badShard({ message, facts }: EngineError): Notice {
  const label =
    typeof app.model.from !== "string"
      ? "Try again"
      : facts.file
        ? `Fetch ${shown(facts.file, 60)} again`
        : "Fetch it again";
  return {
    kind: "trouble",
    title: "A file of the model is damaged",
    text: [sentence(message), "It is not used. The other files are kept."],
    actions: [
      { label, run: () => app.start({ force: true, refresh: true }), main: true },
      otherModel,
    ],
  };
}

export const badModel = ({ message }: EngineError): Notice => ({
  kind: "trouble",
  title: "The model's tensors do not fit",
  text: [
    sentence(message),
    "Nothing of it is used. Fetching it again would not help: it was written so.",
  ],
  actions: [
    { ...otherModel, main: true },
    { label: "Copy report", run: copyReport },
  ],
});

/** Another model was asked for and cannot be used; the one before stays in use. */
export function otherModelFailed({ message, code, facts }: EngineError, model: Loadable): Notice {
  const titles: Partial<Record<ErrorCode, string>> = {
    internal: "An internal error",
    "bad-tensors": "That model's tensors do not fit",
    "storage-full": "No room to store that model",
  };
  const room =
    facts.need && code === "storage-full"
      ? ` It needs ${bytes(facts.need)} more; ${bytes(facts.have ?? 0)} are left.`
      : "";
  const actions: Action[] = [{ label: "All right", run: clear, main: true }];
  if (code === "storage-full")
    actions.push({
      label: "Keep in memory this time",
      run: () => app.switchTo({ model, keep: "memory" }),
    });
  else if (!["bad-tensors", "model-corrupt", "internal"].includes(code))
    actions.push({ label: "Try again", run: () => app.switchTo({ model }) });
  return {
    kind: "trouble",
    title: titles[code] ?? "That model cannot be used",
    text: [
      sentence(message) + room,
      "The model before stays in use, with its picture and conversation.",
    ],
    actions: [...actions, otherModel, { label: "Copy report", run: copyReport }],
  };
}

export const internalError = ({ message }: EngineError): Notice => ({
  kind: "trouble",
  title: "An internal error",
  text: [
    sentence(message),
    "This is a fault of mqt, and the engine has ended. The picture, the conversation and what you typed are kept.",
  ],
  actions: [
    { label: "Start the engine again", run: () => app.start({ force: true }), main: true },
    { label: "Copy report", run: copyReport },
  ],
});

export const unreachable = ({ message }: EngineError): Notice => ({
  kind: "trouble",
  title: navigator.onLine ? "The model cannot be reached" : "No network",
  text: [
    sentence(message),
    "What has arrived is kept. A model that is on this device needs no network.",
  ],
  actions: [afresh, otherModel],
});

export function outOfMemory({ message, facts }: EngineError, context: number): Notice {
  const shorter = Math.max(256, context / 2);
  const actions: Action[] = [again, onProcessor, otherModel];
  if (shorter < context)
    actions.unshift({
      label: `Shorter context (${shorter} tokens)`,
      run: () => app.switchTo({ context: shorter }),
    });
  return {
    kind: "trouble",
    title: "Out of memory",
    text: [
      `${facts.what ? `The device has no room for ${shown(facts.what, 100)}${facts.need ? ` (${bytes(facts.need)})` : ""}.` : sentence(message)} The model was unloaded and its memory freed.`,
      "Picture and conversation are kept. A shorter context takes less memory, and so do fewer image tokens or a smaller model.",
    ],
    actions,
  };
}

export function deviceLost({ message }: EngineError, stop: boolean, question?: string): Notice {
  const what = sentence(message);
  const kept = "Picture, conversation and the text in the question box are kept.";
  if (stop)
    return {
      kind: "trouble",
      title: "The graphics device keeps going away",
      text: [
        what,
        `${kept} It happened three times within five minutes, so it is not rebuilt by itself any more.`,
      ],
      actions: [
        { label: "Rebuild once more", run: () => rebuild(), main: true },
        onProcessor,
        { label: "Copy report", run: copyReport },
      ],
    };
  return {
    kind: "trouble",
    title: "The graphics device went away",
    text: [
      what,
      `Rebuilding. ${kept}${question ? " Below the cut-off answer you can repeat the question." : ""}`,
      h<HTMLProgressElement>("progress", { max: 1, "aria-label": "Rebuilding" }),
    ],
    actions: [],
  };
}

const FEW = 8;

export function contextFull(need: number, have: number): Notice {
  const fewer = nearestStep(tokens.offered(), FEW);
  return {
    kind: "trouble",
    title: "The conversation is full",
    text: [`It takes ${need} tokens, ${have} fit. The answers so far are kept on the page.`],
    actions: [
      { label: "Start anew with this picture", run: () => app.startAnew(), main: true },
      ...(tokens.shown() > fewer
        ? [
            {
              label: `Start anew with ${count(fewer, "image token")}`,
              run: () => (tokens.choose(fewer), app.startAnew()),
            },
          ]
        : []),
      ...(app.context < (app.engine?.model.contextMax ?? 0)
        ? [
            {
              label: "A longer context",
              run: () => app.switchTo({ context: app.engine?.model.contextMax }),
            },
          ]
        : []),
    ],
  };
}

export const secondTab = (): Notice => ({
  kind: "trouble",
  title: "Open in another tab",
  text: [
    "Another tab of this page uses the model. Loading it here as well would take its memory twice.",
  ],
  actions: [
    { label: "Use it here instead", run: () => app.start({ sharing: "take" }), main: true },
    { label: "Wait for the other tab", run: () => app.start({ sharing: "wait" }) },
  ],
});

export const waitingForTab = (): Notice => ({
  kind: "progress",
  title: "Waiting for the other tab",
  text: [
    "The model loads as soon as the other tab is closed.",
    h<HTMLProgressElement>("progress", { "aria-label": "Waiting" }),
  ],
  actions: [{ label: "Use it here instead", run: () => app.start({ sharing: "take" }) }],
});

export const taken = (): Notice => ({
  kind: "trouble",
  title: "Moved to another tab",
  text: [
    "Another tab took the model over, and this one has freed its memory. The conversation is kept.",
  ],
  actions: [{ label: "Bring it back here", run: () => app.start({ sharing: "take" }), main: true }],
});

export const refused = ({ message }: EngineError): Notice => ({
  kind: "trouble",
  title: "That did not work",
  text: [sentence(message), "Everything else is as it was."],
  actions: [{ label: "All right", run: clear, main: true }],
});

export const unreadable = ({ message }: EngineError, name: string, isOneLeft: boolean): Notice => ({
  kind: "trouble",
  title: "That picture cannot be read",
  text: [
    `${shown(name, 100)}: ${shown(message)}.`,
    isOneLeft ? "The picture before it is kept, with its conversation." : "Choose another picture.",
  ],
  actions: [{ label: "All right", run: clear, main: true }],
});

// News

export const update = (found: Update): Notice => ({
  kind: "news",
  title: "A new version of the model",
  text: [
    `${bytes(found.bytes)} differ from what is stored here. The old version is removed when the new one is taken.`,
  ],
  actions: [
    {
      label: `Update (${bytes(found.bytes)})`,
      run: () => app.switchTo({ refresh: true }),
      main: true,
    },
    { label: "Later", run: clear },
  ],
});
