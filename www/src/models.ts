// Which model: those that the engine runs, another address, files from disk; and what of it is
// stored here.

import {
  EngineError,
  deletePack,
  forgetPictures,
  keptPictures,
  plainAddress,
  shown,
  storedPacks,
  webAddress,
} from "mqt-web";
import { page } from "./actions";
import { bundled } from "./bundled";
import { type Entry, catalogue } from "./catalogue";
import { bytes, dialog, find, h } from "./dom";
import * as history from "./history";
import { models as words, storage as stored } from "./words-later";

let chooser: HTMLDialogElement | undefined;
let storage: HTMLDialogElement | undefined;

/** The dialog that asks for another model. */
export function open(): void {
  chooser ??= buildChooser();
  chooser.showModal();
}

function entry({ name, size, needs, knows, licence, commands }: Entry): HTMLElement {
  const use = () => (chooser?.close(), void page.switchTo({ model: bundled }));
  const how = commands
    ? h(
        "details",
        h("summary", words.how),
        h("p.small", words.howMore),
        h("pre", commands.join("\n")),
      )
    : h(
        "div.actions",
        h("button", { type: "button", onclick: use }, words.useBundled(bytes(__BUNDLED__.bytes))),
      );
  return h(
    "li",
    h("b", name),
    h("p", `${knows}${/[.]$/.test(knows) ? "" : "."} ${words.line(size, needs)}`),
    h("p.small.quiet", words.licence(licence)),
    how,
  );
}

function buildChooser(): HTMLDialogElement {
  const address = h<HTMLInputElement>("input#model-address", {
    type: "url",
    placeholder: "https://…/manifest.json",
    required: true,
  });
  const form = h<HTMLFormElement>(
    "form",
    h("label", { for: "model-address" }, words.address),
    h("div.line", address, h("button", { type: "submit" }, words.look)),
  );
  form.addEventListener("submit", event => {
    event.preventDefault();
    let from;
    try {
      from = webAddress(address.value, document.baseURI).href;
    } catch (error) {
      address.setCustomValidity(EngineError.from(error).message);
      return void address.reportValidity();
    }
    box.close();
    void page.offer({ from, name: from });
  });
  address.addEventListener("input", () => address.setCustomValidity(""));
  const files = h<HTMLInputElement>("input#model-files.hidden-input", {
    type: "file",
    multiple: true,
  });
  files.addEventListener("change", () => fromDisk(files));
  const folder = h<HTMLInputElement>("input#model-folder.hidden-input", {
    type: "file",
    webkitdirectory: true,
  });
  folder.addEventListener("change", () => fromDisk(folder));
  const pick = (input: HTMLInputElement, label: string) =>
    h("span", input, h("label.button", { for: input.id }, label));
  const box: HTMLDialogElement = dialog(
    "models",
    words.title,
    h("p", words.intro),
    h("ul.catalogue", ...catalogue.map(entry)),
    form,
    h("p.small.quiet", words.note),
    h("div.actions", pick(files, words.files), pick(folder, words.folder)),
  );
  return box;
}

function fromDisk(input: HTMLInputElement): void {
  const files = [...(input.files ?? [])];
  if (files.length === 0) return;
  chooser?.close();
  void page.switchTo({
    model: { from: files, name: files[0]!.webkitRelativePath.split("/")[0] || words.fromDisk },
  });
}

/** The storage panel. */
export async function openStorage(): Promise<void> {
  storage ??= dialog(
    "storage",
    stored.title,
    h("div#packs"),
    h("div#kept-talk"),
    h("div#kept-pictures"),
    h("div#allowance"),
  );
  await fill();
  storage.showModal();
}

/**
 * One that is loaded runs on from the device's memory; one that is just arriving has its files
 * open.
 */
async function drop(url: string): Promise<void> {
  let trouble = "";
  if (page.loading && page.model.from === url) trouble = stored.loading;
  else
    await deletePack(url).then(
      () => page.deleted(url),
      error => (trouble = stored.failed((error as Error).message)),
    );
  await fill();
  find("#packs").append(h("p", { role: "alert" }, trouble));
}

/** Something that is stored, and what deletes it. */
function line(name: string, what: string, more: string, remove?: () => unknown): HTMLElement {
  const button =
    remove &&
    h(
      "button",
      { type: "button", "aria-label": stored.removeLabel(name), onclick: remove },
      stored.remove,
    );
  return h(
    "div.pack",
    h("div", h("b", name), h("p.small", what), more && h("p.small.quiet", more)),
    button,
  );
}

/** Deletes all that is listed, and what the page shows of it, once that was confirmed. */
function everything(urls: string[]): HTMLElement {
  const place = h("div.everything");
  const press = (label: string, onclick: () => unknown) =>
    h("button", { type: "button", onclick }, label);
  const clear = async () => {
    await history.clear();
    await page.startAnew(true);
    await forgetPictures();
    await fill();
    // These say what could not be deleted.
    for (const url of urls) await drop(url);
    if (!page.engine && !page.loading) await page.welcome();
    find<HTMLButtonElement>("#reset").click();
    const stays = stored.gone(page.pictures.length, page.engine !== undefined);
    find("#allowance").append(h("p", { role: "status" }, stays));
  };
  const begin = () => place.replaceChildren(press(stored.all, ask));
  const ask = () => {
    const cancel = press(stored.cancel, () => (begin(), find("button", place).focus()));
    const buttons = h("div.actions", press(stored.allSure, clear), cancel);
    place.replaceChildren(h("p", { role: "alert" }, stored.sure), buttons);
    cancel.focus();
  };
  begin();
  return place;
}

const sum = (numbers: number[]) => numbers.reduce((sum, n) => sum + n, 0);

async function fill(): Promise<void> {
  const all = await storedPacks();
  const packs = all.map(pack =>
    line(
      shown(pack.name, 100),
      pack.stored === pack.bytes
        ? stored.whole(bytes(pack.bytes))
        : stored.part(bytes(pack.stored), bytes(pack.bytes)),
      plainAddress(pack.url),
      () => void drop(pack.url),
    ),
  );
  find("#packs").replaceChildren(...(packs.length > 0 ? packs : [h("p", stored.none)]));
  const talk = await history.read();
  find("#kept-talk").replaceChildren(
    talk.length > 0
      ? line(
          stored.history(talk.length),
          stored.historyIs(
            sum(talk.map(({ answers }) => answers.length)),
            sum(talk.map(({ comparisons }) => comparisons.length)),
            new Set(talk.flatMap(({ pictures }) => pictures.map(({ blob }) => blob))).size,
            bytes(history.size(talk)),
          ),
          "",
          () => void history.clear().then(fill),
        )
      : h("p.small.quiet", stored.historyNone),
  );
  const { count, bytes: size } = await keptPictures();
  find("#kept-pictures").replaceChildren(
    ...(count > 0
      ? [
          line(
            stored.pictures,
            stored.picturesAre(count, bytes(size)),
            "",
            () => void forgetPictures().then(fill),
          ),
        ]
      : []),
  );
  const listed = sum(all.map(pack => pack.stored)) + size + history.size(talk);
  const { usage = 0, quota = 0 } = (await navigator.storage?.estimate?.()) ?? {};
  const kept = await navigator.storage?.persisted?.();
  const keep = h("button", { type: "button" }, stored.keep);
  keep.onclick = async () => {
    await navigator.storage.persist();
    await fill();
  };
  find("#allowance").replaceChildren(
    h("p", stored.uses(bytes(usage), bytes(quota))),
    ...(usage > listed
      ? [h("p.small.quiet", `${stored.rest(bytes(usage - listed))} ${stored.restStays}`)]
      : []),
    ...(listed > 0
      ? [
          h("p", kept ? stored.kept : stored.notKept),
          h("div.actions", !kept && keep, everything(all.map(({ url }) => url))),
        ]
      : []),
  );
}
