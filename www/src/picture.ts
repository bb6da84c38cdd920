// The picture: where it comes from, and three ways to look at it.

import { shown as safe } from "mqt-web";
import { type Picture, page } from "./actions";
import * as address from "./address";
import { bundled } from "./bundled";
import { dialog, find, h, log } from "./dom";
import * as heat from "./heat";
import { looksLikePhoto } from "./photo";
import { samples } from "./samples";
import { chips, picture as words } from "./words";

type Show = "original" | "model" | "attention";
let showing: Show = "original";
/** The address of a picture that the browser cannot show. */
let unshown: string | undefined;

export function setUp(): void {
  const input = find<HTMLInputElement>("#file");
  input.addEventListener("change", () => {
    const [file] = input.files ?? [];
    if (file) void page.attach(file, file.name);
    input.value = "";
  });
  find("#paste").addEventListener("click", () => void paste());
  find("#camera").addEventListener("click", () => void camera());
  find("#from-address").addEventListener("click", address.open);
  find("#compose").addEventListener("click", () => void compose());
  find("#chip").addEventListener("click", () => page.open("models"));
  const frame = find("#frame");
  for (const type of ["dragenter", "dragover"])
    document.addEventListener(type, event => (event.preventDefault(), frame.classList.add("over")));
  for (const type of ["dragleave", "drop"])
    document.addEventListener(type, () => frame.classList.remove("over"));
  document.addEventListener("drop", event => {
    event.preventDefault();
    const files = [...(event.dataTransfer?.files ?? [])];
    // Some systems know no type for newer formats; the decoder will.
    const file =
      files.find(file => file.type.startsWith("image/")) ?? files.find(file => file.type === "");
    const link = address.linkIn(
      event.dataTransfer?.getData("text/uri-list") || event.dataTransfer?.getData("text/plain"),
    );
    if (file) void page.attach(file, file.name);
    else if (files[0]) say(words.noPicture(safe(files[0].name, 100)));
    else if (link) void address.take(link);
    else say(words.onlyPictures);
  });
  document.addEventListener("paste", event => {
    const file = [...(event.clipboardData?.files ?? [])].find(file =>
      file.type.startsWith("image/"),
    );
    // Text is for the field one is in; elsewhere a link stands for its picture.
    const typing =
      event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement;
    const link = !file && !typing && address.linkIn(event.clipboardData?.getData("text/plain"));
    if (!file && !link) return;
    event.preventDefault();
    if (file) void page.attach(file, words.pasted);
    else if (link) void address.take(link);
  });
  for (const button of document.querySelectorAll<HTMLButtonElement>("#views button"))
    button.addEventListener("click", () => {
      showing = button.dataset.show as Show;
      draw();
    });
  const thumbs = samples.map(({ name, url }, i) =>
    h(
      "button",
      {
        type: "button",
        title: name,
        "aria-label": words.sample(i + 1),
        onclick: () => void sample(i),
      },
      h<HTMLImageElement>("img", { src: url, alt: "", width: 56, height: 56 }),
    ),
  );
  find("#samples").append(...thumbs);
  // The engine may read what the browser cannot show.
  find("#shown").addEventListener("error", () => {
    unshown = page.picture?.url;
    draw();
  });
  page.onChange(draw);
  heat.setUp();
  draw();
}

export async function sample(i: number): Promise<void> {
  const { url, name } = samples[i]!;
  await page.attach(await (await fetch(url)).blob(), name);
}

async function paste(): Promise<void> {
  try {
    for (const item of await navigator.clipboard.read()) {
      const type = item.types.find(type => type.startsWith("image/"));
      if (type) return await page.attach(await item.getType(type), words.pasted);
      const link =
        item.types.includes("text/plain") &&
        address.linkIn(await (await item.getType("text/plain")).text());
      if (link) return await address.take(link);
    }
    say(words.emptyClipboard);
  } catch {
    say(words.noClipboard);
  }
}

const say = (text: string) => void (find("#remark").textContent = text);

/** The composer and its stickers are a script of their own: most visitors never open it. */
async function compose(): Promise<void> {
  try {
    const { openComposer } = await import("./composer");
    await openComposer();
  } catch (error) {
    log(`composer: ${(error as Error).message}`);
    say(words.noComposer);
  }
}

/** A still from the camera. It is switched on by this click and off when the dialog closes. */
async function camera(): Promise<void> {
  let stream: MediaStream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({
      video: { facingMode: "environment" },
      audio: false,
    });
  } catch (error) {
    log(`camera: ${error}`);
    say(words.noCamera);
    return;
  }
  const video = h<HTMLVideoElement>("video", {
    autoplay: true,
    muted: true,
    playsInline: true,
    srcObject: stream,
  });
  const take = h<HTMLButtonElement>("button.main", { type: "button", disabled: true }, words.take);
  video.addEventListener("loadeddata", () => (take.disabled = false));
  const box = dialog("camera-dialog", words.camera, video, h("div.actions", take));
  box.addEventListener("close", () => {
    for (const track of stream.getTracks()) track.stop();
    box.remove();
  });
  take.addEventListener("click", async () => {
    const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
    canvas.getContext("2d")?.drawImage(video, 0, 0);
    const blob = await canvas.convertToBlob({ type: "image/png" });
    box.close();
    void page.attach(blob, words.taken);
  });
  box.showModal();
}

function draw(): void {
  const { picture } = page;
  const view = picture?.view;
  find("#drop-hint").hidden = picture !== undefined;
  find("#views").classList.toggle("idle", picture === undefined);
  const shown = view ? showing : "original";
  for (const button of document.querySelectorAll<HTMLButtonElement>("#views button")) {
    button.setAttribute("aria-pressed", String(button.dataset.show === shown));
    button.disabled = button.dataset.show !== "original" && !view;
  }
  const image = find<HTMLImageElement>("#shown");
  image.hidden = !picture || shown !== "original" || picture.url === unshown;
  if (picture && image.src !== picture.url) image.src = picture.url;
  const name = safe(picture?.name ?? "", 100);
  image.alt = picture ? words.alt(name) : "";
  const canvas = find<HTMLCanvasElement>("#seen");
  canvas.hidden = shown === "original";
  canvas.classList.toggle("map", shown === "attention");
  find("#heat").hidden = shown !== "attention";
  if (view && shown !== "original") {
    canvas.setAttribute("aria-label", shown === "model" ? words.seen : words.heatMap);
    void heat.draw(canvas, view, shown === "attention");
  }
  const caption = find("#caption");
  if (!picture) caption.textContent = "";
  else if (!view) caption.textContent = picture.url === unshown ? words.cannotShow(name) : name;
  else if (shown === "original") caption.textContent = words.size(name, view.width, view.height);
  else if (shown === "model") caption.textContent = words.input(view.size);
  else caption.textContent = words.map;
  if (shown !== "attention" || picture !== drawn) heat.forget();
  drawn = picture;
  void warn();
}

/** The picture that was drawn last, and the one that was looked at for what it is. */
let drawn: Picture | undefined;
let judged: { picture: Picture; isPhoto: boolean } | undefined;

/** Whether the model knows only what its pack's scenes are made of. */
const knowsScenesOnly = () =>
  page.engine ? page.engine.model.scenes !== undefined : page.model.from === bundled.from;

/** Says at the picture what the model cannot do with it. */
async function warn(): Promise<void> {
  const { picture } = page;
  const [line, chip] = [find("#photo"), find("#chip")];
  const name = safe(page.engine?.model.name ?? page.model.name, 40);
  chip.textContent = knowsScenesOnly() ? chips.scenes(name) : name;
  if (picture && judged?.picture !== picture) {
    const isPhoto = (await looksLikePhoto(picture.blob)) ?? false;
    if (picture !== page.picture) return;
    judged = { picture, isPhoto };
  }
  const wrong = picture !== undefined && knowsScenesOnly() && judged?.isPhoto;
  line.textContent = wrong ? words.photo(name) : "";
}
