// The cards for every way in which things go wrong: what happened, what was kept, what to press.
// And the one for news.

import { type EngineError, type ErrorCode, shown } from "mqt-web";
import { type Loadable, page } from "./actions";
import { bytes, copy, h } from "./dom";
import type { Found, Update } from "./lookup";
import { type Action, type Notice, clear, sentence } from "./notices";
import { nearestStep } from "./offer";
import { report } from "./report";
import * as tokens from "./tokens";
import type { Probe } from "./webgpu";
import { more, otherModel } from "./welcome";
import { trouble as words, welcome } from "./words";

const onProcessor: Action = {
  label: words.cpu,
  run: () => page.switchTo({ adapter: "cpu" }),
};
const again: Action = { label: words.again, run: () => page.start(), main: true };
/** The manifest that is stored may name files that its server has no more. */
const afresh: Action = {
  ...again,
  run: async () => page.start({ refresh: !(await page.isStored()) }),
};
const ok: Action = { label: words.ok, run: clear, main: true };

const copyReport: Action = {
  label: words.report,
  run(this: HTMLElement) {
    void copy(report(), this);
  },
};

export const noWebGpu = (seen: Probe): Notice => ({
  kind: "trouble",
  title: words.noWebGpu,
  text: [
    [shown(seen.reason), seen.step].filter(Boolean).join(" "),
    words.noWebGpuMore,
    h("p.small", welcome.others),
    more(),
  ],
  actions: [
    { ...onProcessor, main: true },
    { label: words.again, run: () => page.start({ probe: true }) },
    copyReport,
  ],
});

export const weakAdapter = (seen: Probe): Notice => ({
  kind: "trouble",
  title: words.weak,
  text: [seen.reason, seen.step || words.weakMore, words.nothingYet],
  actions: [
    { label: words.anyway, run: () => page.start({ force: true }), main: true },
    onProcessor,
    copyReport,
  ],
});

/** Nothing went wrong: data should be saved. `download` begins what was put off. */
export const savingData = ({ name, missing }: Found, download: () => unknown): Notice => ({
  kind: "news",
  title: words.saving(name),
  text: [words.savingMore(bytes(missing)), words.savingWaits],
  actions: [
    { label: words.savingNow, run: download, main: true },
    { label: words.savingNotNow, run: () => page.stop() },
  ],
});

export function storageFull({ message, facts }: EngineError): Notice {
  const have = facts.have === undefined ? undefined : bytes(facts.have);
  return {
    kind: "trouble",
    title: words.full,
    text: [facts.need ? words.fullNumbers(bytes(facts.need), have) : message, words.fullMore],
    actions: [
      {
        label: words.inMemory,
        run: () => page.start({ force: true, keep: "memory" }),
        main: true,
      },
      { label: words.freeRoom, run: () => page.open("storage") },
      { label: words.again, run: () => page.start() },
    ],
  };
}

export function badShard({ message, facts }: EngineError): Notice {
  const label =
    typeof page.model.from !== "string"
      ? words.again
      : facts.file
        ? words.fetchFile(shown(facts.file, 60))
        : words.fetchIt;
  return {
    kind: "trouble",
    title: words.damaged,
    text: [sentence(message), words.damagedMore],
    actions: [
      { label, run: () => page.start({ force: true, refresh: true }), main: true },
      otherModel,
    ],
  };
}

export const badModel = ({ message, facts }: EngineError): Notice => ({
  kind: "trouble",
  title: words.tensors,
  text: [sentence(message), facts.what === "vision tower" ? words.towerMore : words.tensorsMore],
  actions: [{ ...otherModel, main: true }, copyReport],
});

/** Another model was asked for and cannot be used; the one before stays in use. */
export function otherModelFailed({ message, code, facts }: EngineError, model: Loadable): Notice {
  const titles: Partial<Record<ErrorCode, string>> = {
    internal: words.otherInternal,
    "bad-tensors": words.otherTensors,
    "storage-full": words.otherFull,
  };
  const room =
    facts.need && code === "storage-full"
      ? ` ${words.fullNumbers(bytes(facts.need), bytes(facts.have ?? 0))}`
      : "";
  const actions: Action[] = [ok];
  if (code === "storage-full")
    actions.push({
      label: words.inMemory,
      run: () => page.switchTo({ model, keep: "memory" }),
    });
  else if (!["bad-tensors", "model-corrupt", "internal"].includes(code))
    actions.push({ label: words.again, run: () => page.switchTo({ model }) });
  return {
    kind: "trouble",
    title: titles[code] ?? words.otherFailed,
    text: [
      sentence(message) + room,
      ...(facts.what === "vision tower" ? [words.towerMore] : []),
      words.otherKept,
    ],
    actions: [...actions, otherModel, copyReport],
  };
}

export const internalError = ({ message }: EngineError): Notice => ({
  kind: "trouble",
  title: words.internal,
  text: [sentence(message), words.internalMore],
  actions: [
    { label: words.restart, run: () => page.start({ force: true }), main: true },
    copyReport,
  ],
});

export const unreachable = ({ message }: EngineError): Notice => ({
  kind: "trouble",
  title: navigator.onLine ? words.unreachable : words.offline,
  text: [sentence(message), words.unreachableMore],
  actions: [afresh, otherModel],
});

export function outOfMemory({ message, facts }: EngineError, context: number): Notice {
  const shorter = Math.max(256, context / 2);
  const actions: Action[] = [again, onProcessor, otherModel];
  if (shorter < context)
    actions.splice(1, 0, {
      label: words.shorter(shorter),
      run: () => page.switchTo({ context: shorter }),
    });
  const size = facts.need ? bytes(facts.need) : undefined;
  const what = facts.what ? words.memoryFor(shown(facts.what, 100), size) : sentence(message);
  return {
    kind: "trouble",
    title: words.memory,
    text: [what + words.memoryFreed, words.memoryMore],
    actions,
  };
}

/** `rebuild` is set when it happened too often to go on by itself. */
export function deviceLost(
  { message }: EngineError,
  rebuild: (() => unknown) | undefined,
  question?: string,
): Notice {
  const what = sentence(message);
  if (rebuild)
    return {
      kind: "trouble",
      title: words.lostOften,
      text: [what, words.lostOftenMore(words.lostKept)],
      actions: [{ label: words.rebuild, run: rebuild, main: true }, onProcessor, copyReport],
    };
  return {
    kind: "trouble",
    title: words.lost,
    text: [
      what,
      words.lostMore(words.lostKept, question !== undefined),
      h<HTMLProgressElement>("progress", { max: 1, "aria-label": words.rebuilding }),
    ],
    actions: [],
  };
}

const FEW = 8;

export function contextFull(need: number, have: number): Notice {
  const fewer = nearestStep(tokens.offered(), FEW);
  const here = page.pictures.length > 1 ? words.anewAll(page.pictures.length) : words.anewHere;
  const actions: Action[] = [{ label: here, run: () => page.startAnew(), main: true }];
  if (tokens.shown() > fewer)
    actions.push({
      label: words.anewWith(fewer),
      run: () => (tokens.choose(fewer), page.startAnew()),
    });
  const [first, second] = page.pictures;
  if (first && second)
    actions.push({ label: words.forgetFirst, run: () => (clear(), page.drop(first)) });
  const longest = page.engine?.model.contextMax ?? 0;
  if (page.context < longest)
    actions.push({ label: words.longer, run: () => page.switchTo({ context: longest }) });
  return {
    kind: "trouble",
    title: words.contextFull,
    text: [words.contextNumbers(need, have)],
    actions,
  };
}

/** Nothing went wrong: the model is somewhere else. */
export const secondTab = (): Notice => ({
  kind: "news",
  title: words.otherTab,
  text: [words.otherTabMore],
  actions: [
    { label: words.useHere, run: () => page.start({ sharing: "take" }), main: true },
    { label: words.waitForTab, run: () => page.start({ sharing: "wait" }) },
  ],
});

export const waitingForTab = (): Notice => ({
  kind: "progress",
  title: words.waiting,
  text: [words.waitingMore, h<HTMLProgressElement>("progress", { "aria-label": words.waiting })],
  actions: [{ label: words.useHere, run: () => page.start({ sharing: "take" }) }],
});

export const taken = (): Notice => ({
  kind: "news",
  title: words.taken,
  text: [words.takenMore],
  actions: [{ label: words.bringBack, run: () => page.start({ sharing: "take" }), main: true }],
});

export const refused = ({ message }: EngineError): Notice => ({
  kind: "trouble",
  title: words.refused,
  text: [sentence(message), words.refusedMore],
  actions: [ok],
});

/** `left`: how many pictures there are without it. */
export const unreadable = ({ message }: EngineError, name: string, left: number): Notice => ({
  kind: "trouble",
  title: words.unreadable,
  text: [
    `${shown(name, 100)}: ${shown(message)}.`,
    left === 0
      ? words.unreadableNone
      : left === 1
        ? words.unreadableKept
        : words.unreadableOthers(left),
  ],
  actions: [ok],
});

/** The model takes no further picture; `alone` asks about that one in a new conversation. */
export const noSecond = ({ message }: EngineError, alone: () => unknown): Notice => ({
  kind: "trouble",
  title: words.noSecond,
  text: [sentence(message), words.noSecondKept],
  actions: [ok, { label: words.alone, run: () => (clear(), alone()) }],
});

// News

export const update = (found: Update): Notice => ({
  kind: "news",
  title: words.update,
  text: [words.updateMore(bytes(found.bytes))],
  actions: [
    {
      label: words.updateNow(bytes(found.bytes)),
      run: () => page.switchTo({ refresh: true }),
      main: true,
    },
    { label: words.later, run: clear },
  ],
});
