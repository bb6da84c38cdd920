// Where pictures come from: files, the clipboard, links, the camera, the scene editor, samples. Each
// begins a new conversation, or is added to the one there is.

import { shown as safe } from "mqt-web";
import { type Put, page } from "./actions";
import { find, h } from "./dom";
import { lazily } from "./lazily";
import { linkIn } from "./link";
import { remark as say } from "./notices";
import { samples } from "./samples";
import { picture as words } from "./words";

const anew: Put = (blob, name) => page.attach(blob, name);
const also: Put = (blob, name) => page.add(blob, name);

export function setUp(): void {
  menu(find("#own"), anew);
  menu(find("#add"), also);
  find("#open-live").addEventListener("click", () => void live());
  find("#samples").append(...thumbs(words.sample, anew, 56));
  find("#add-samples").append(...thumbs(words.addSample, also, 40));
  dropping();
  document.addEventListener("paste", event => {
    const file = [...(event.clipboardData?.files ?? [])].find(file =>
      file.type.startsWith("image/"),
    );
    // Text is for the field one is in; elsewhere a link stands for its picture.
    const { target } = event;
    const typing = target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement;
    const link = !file && !typing && linkIn(event.clipboardData?.getData("text/plain"));
    if (!file && !link) return;
    event.preventDefault();
    // What is pasted into the box for questions belongs to the next one.
    if (file) void (target === find("#question") ? also : anew)(file, words.pasted);
    else if (link) void take(link, anew);
  });
}

/** The buttons of one of the two lists of sources. */
function menu(list: HTMLElement, put: Put): void {
  const input = find<HTMLInputElement>("input", list);
  input.addEventListener("change", () => {
    const [file] = input.files ?? [];
    if (file) void put(file, file.name);
    input.value = "";
  });
  const sources: Record<string, () => unknown> = {
    paste: () => paste(put),
    link: () => openAddress(put),
    camera: () => still(put),
    compose: () => compose(put),
  };
  for (const [name, run] of Object.entries(sources))
    find(`[data-source=${name}]`, list).addEventListener("click", run);
}

function thumbs(label: (n: number) => string, put: Put, size: number): HTMLElement[] {
  return samples.map(({ name, url }, i) =>
    h(
      "button",
      {
        type: "button",
        title: name,
        "aria-label": label(i + 1),
        onclick: async () => put(await (await fetch(url)).blob(), name),
      },
      h<HTMLImageElement>("img", { src: url, alt: "", width: size, height: size }),
    ),
  );
}

/** What is dropped on the conversation is added to it; elsewhere it begins another. */
function dropping(): void {
  const [frame, entry] = [find("#frame"), find(".entry")];
  const isAdded = (event: Event) =>
    page.pictures.length > 0 && (event.target as Element).closest?.("#talk") !== null;
  const mark = (at?: HTMLElement) => {
    for (const place of [frame, entry]) place.classList.toggle("over", place === at);
  };
  for (const type of ["dragenter", "dragover"])
    document.addEventListener(
      type,
      event => (event.preventDefault(), mark(isAdded(event) ? entry : frame)),
    );
  for (const type of ["dragleave", "drop"]) document.addEventListener(type, () => mark());
  document.addEventListener("drop", event => {
    event.preventDefault();
    const put = isAdded(event) ? also : anew;
    const files = [...(event.dataTransfer?.files ?? [])];
    // Some systems know no type for newer formats; the decoder will.
    const file =
      files.find(file => file.type.startsWith("image/")) ?? files.find(file => file.type === "");
    const link = linkIn(
      event.dataTransfer?.getData("text/uri-list") || event.dataTransfer?.getData("text/plain"),
    );
    if (file) void put(file, file.name);
    else if (files[0]) say(words.noPicture(safe(files[0].name, 100)));
    else if (link) void take(link, put);
    else say(words.onlyPictures);
  });
}

async function paste(put: Put): Promise<void> {
  try {
    for (const item of await navigator.clipboard.read()) {
      const type = item.types.find(type => type.startsWith("image/"));
      if (type) return await put(await item.getType(type), words.pasted);
      const link =
        item.types.includes("text/plain") &&
        linkIn(await (await item.getType("text/plain")).text());
      if (link) return await take(link, put);
    }
    say(words.emptyClipboard);
  } catch {
    say(words.noClipboard);
  }
}

/** What asks another server, the scene editor, and what uses the camera, are scripts of their own. */
const openAddress = (put: Put) =>
  lazily("address", async () => (await import("./address")).open(put));
const take = (link: URL, put: Put) =>
  lazily("address", async () => (await import("./address")).take(link, put));
const compose = (put: Put) =>
  lazily("composer", async () => (await import("./composer")).openComposer(put), words.noComposer);
const still = (put: Put) =>
  lazily("camera", async () => (await import("./camera")).openCamera(put));
const live = () => lazily("live", async () => (await import("./live")).openLive());
