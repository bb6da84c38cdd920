// Which model: another address, files from disk; and what of it is stored here.

import { EngineError, deletePack, plainAddress, shown, storedPacks, webAddress } from "mqt-web";
import { app, bundled } from "./app";
import { bytes, dialog, find, h } from "./dom";
import * as notices from "./notices";

let chooser: HTMLDialogElement | undefined;
let storage: HTMLDialogElement | undefined;

/** The dialog that asks for another model. */
export function open(): void {
  chooser ??= buildChooser();
  chooser.showModal();
}

function buildChooser(): HTMLDialogElement {
  const address = h<HTMLInputElement>("input#model-address", {
    type: "url",
    placeholder: "https://…/manifest.json",
    required: true,
  });
  const form = h<HTMLFormElement>(
    "form",
    h("label", { for: "model-address" }, "Address of a pack's manifest.json"),
    h("div.line", address, h("button.main", { type: "submit" }, "Look")),
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
    void notices.offer({ from, name: from });
  });
  address.addEventListener("input", () => address.setCustomValidity(""));
  const files = h<HTMLInputElement>("input#model-files", { type: "file", multiple: true });
  files.addEventListener("change", () => fromDisk(files));
  const folder = h<HTMLInputElement>("input#model-folder", { type: "file", webkitdirectory: true });
  folder.addEventListener("change", () => fromDisk(folder));
  const own = h(
    "button",
    { type: "button", onclick: () => (box.close(), void app.switchTo({ model: bundled })) },
    `The bundled toybox (${bytes(__BUNDLED__.bytes)})`,
  );
  const box: HTMLDialogElement = dialog(
    "models",
    "Another model",
    h(
      "p",
      "A model is a pack made by ",
      h("code", "mqt convert"),
      ". The page fetches it from the address you give, and from nowhere else; that server has to allow it (CORS).",
    ),
    form,
    h("p", h("label", { for: "model-files" }, "Files of a pack from disk"), h("br"), files),
    h("p", h("label", { for: "model-folder" }, "Or its folder"), h("br"), folder),
    h("div.actions", own),
  );
  return box;
}

function fromDisk(input: HTMLInputElement): void {
  const files = [...(input.files ?? [])];
  if (files.length === 0) return;
  chooser?.close();
  void app.switchTo({
    model: { from: files, name: files[0]!.webkitRelativePath.split("/")[0] || "files from disk" },
  });
}

/** The storage panel. */
export async function openStorage(): Promise<void> {
  storage ??= dialog("storage", "Storage on this device", h("div#packs"), h("div#allowance"));
  await fill();
  storage.showModal();
}

/**
 * One that is loaded runs on from the device's memory; one that is just arriving has its files
 * open.
 */
async function drop(url: string): Promise<void> {
  let trouble = "";
  if (app.loading && app.model.from === url) trouble = "It is being loaded: stop that first.";
  else
    await deletePack(url).then(
      () => app.deleted(url),
      error => (trouble = `It could not be deleted: ${(error as Error).message}`),
    );
  await fill();
  find("#packs").append(h("p", { role: "alert" }, trouble));
}

async function fill(): Promise<void> {
  const packs = (await storedPacks()).map(pack => {
    const whole = pack.stored === pack.bytes;
    const words = whole
      ? `${bytes(pack.bytes)}, complete; its SHA-256 is checked at every start`
      : `${bytes(pack.stored)} of ${bytes(pack.bytes)} are here`;
    const remove = h(
      "button",
      {
        type: "button",
        "aria-label": `Delete ${shown(pack.name, 100)}`,
        onclick: () => void drop(pack.url),
      },
      "Delete",
    );
    return h(
      "div.pack",
      h(
        "div",
        h("b", shown(pack.name, 100)),
        h("p.small", words),
        h("p.small.quiet", plainAddress(pack.url)),
      ),
      remove,
    );
  });
  find("#packs").replaceChildren(...(packs.length > 0 ? packs : [h("p", "No model is stored.")]));
  const { usage = 0, quota = 0 } = (await navigator.storage?.estimate?.()) ?? {};
  const kept = await navigator.storage?.persisted?.();
  const keep = h("button", { type: "button" }, "Keep it permanently");
  keep.onclick = async () => {
    await navigator.storage.persist();
    await fill();
  };
  find("#allowance").replaceChildren(
    h("p", `This page uses ${bytes(usage)}; the browser allows ${bytes(quota)}.`),
    h(
      "p",
      kept
        ? "Kept permanently: yes."
        : "Kept permanently: no. The browser may remove it when the disk is full.",
    ),
    ...(kept ? [] : [h("div.actions", keep)]),
  );
}
