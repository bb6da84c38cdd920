// The picture: where it comes from, and three ways to look at it.

import { shown as safe } from "mqt-web";
import { app } from "./app";
import * as address from "./address";
import { dialog, find, h, log } from "./dom";
import * as heat from "./heat";
import { samples } from "./samples";

type Show = "original" | "model" | "attention";
let showing: Show = "original";
/** The address of a picture that the browser cannot show. */
let unshown: string | undefined;

export function setUp(): void {
  const input = find<HTMLInputElement>("#file");
  input.addEventListener("change", () => {
    const [file] = input.files ?? [];
    if (file) void app.attach(file, file.name);
    input.value = "";
  });
  find("#paste").addEventListener("click", () => void paste());
  find("#camera").addEventListener("click", () => void camera());
  find("#from-address").addEventListener("click", address.open);
  find("#compose").addEventListener("click", () => void compose());
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
    if (file) void app.attach(file, file.name);
    else if (files[0]) say(`${safe(files[0].name, 100)} is no picture.`);
    else if (link) void address.take(link);
    else say("Only picture files, or links to pictures, can be dropped here.");
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
    if (file) void app.attach(file, "pasted picture");
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
        "aria-label": `Sample picture ${i + 1}`,
        onclick: () => void sample(i),
      },
      h<HTMLImageElement>("img", { src: url, alt: "", width: 56, height: 56 }),
    ),
  );
  find("#samples").append(...thumbs);
  // The engine may read what the browser cannot show.
  find("#shown").addEventListener("error", () => {
    unshown = app.picture?.url;
    draw();
  });
  app.onChange(draw);
  heat.setUp();
  draw();
}

export async function sample(i: number): Promise<void> {
  const { url, name } = samples[i]!;
  await app.attach(await (await fetch(url)).blob(), name);
}

async function paste(): Promise<void> {
  try {
    for (const item of await navigator.clipboard.read()) {
      const type = item.types.find(type => type.startsWith("image/"));
      if (type) return await app.attach(await item.getType(type), "pasted picture");
      const link =
        item.types.includes("text/plain") &&
        address.linkIn(await (await item.getType("text/plain")).text());
      if (link) return await address.take(link);
    }
    say("There is no picture on the clipboard.");
  } catch {
    say("The browser did not allow reading the clipboard: press Ctrl+V (⌘V) instead.");
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
    say("The composer could not be loaded. Are you offline?");
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
    say("There is no camera, or this page may not use it.");
    return;
  }
  const video = h<HTMLVideoElement>("video", {
    autoplay: true,
    muted: true,
    playsInline: true,
    srcObject: stream,
  });
  const take = h<HTMLButtonElement>(
    "button.main",
    { type: "button", disabled: true },
    "Take the picture",
  );
  video.addEventListener("loadeddata", () => (take.disabled = false));
  const box = dialog("camera-dialog", "Camera", video, h("div.actions", take));
  box.addEventListener("close", () => {
    for (const track of stream.getTracks()) track.stop();
    box.remove();
  });
  take.addEventListener("click", async () => {
    const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
    canvas.getContext("2d")?.drawImage(video, 0, 0);
    const blob = await canvas.convertToBlob({ type: "image/png" });
    box.close();
    void app.attach(blob, "camera picture");
  });
  box.showModal();
}

function draw(): void {
  const { picture } = app;
  const view = picture?.view;
  find("#drop-hint").hidden = picture !== undefined;
  find("#views").hidden = picture === undefined;
  const shown = view ? showing : "original";
  for (const button of document.querySelectorAll<HTMLButtonElement>("#views button")) {
    button.setAttribute("aria-pressed", String(button.dataset.show === shown));
    button.disabled = button.dataset.show !== "original" && !view;
  }
  const image = find<HTMLImageElement>("#shown");
  image.hidden = !picture || shown !== "original" || picture.url === unshown;
  if (picture && image.src !== picture.url) image.src = picture.url;
  const name = safe(picture?.name ?? "", 100);
  image.alt = picture ? `The picture: ${name}` : "";
  const canvas = find<HTMLCanvasElement>("#seen");
  canvas.hidden = shown === "original";
  find("#heat").hidden = shown !== "attention";
  if (view && shown !== "original") {
    canvas.setAttribute(
      "aria-label",
      shown === "model" ? "What the model sees" : "Heat map: where the model reads from",
    );
    void heat.draw(canvas, view, shown === "attention");
  }
  const caption = find("#caption");
  if (!picture) caption.textContent = "";
  else if (!view)
    caption.textContent = picture.url === unshown ? `${name}: this browser cannot show it` : name;
  else if (shown === "original") caption.textContent = `${name} · ${view.width} × ${view.height}`;
  else if (shown === "model")
    caption.textContent = `${view.size} × ${view.size} pixels, padded to a square: all that the model gets`;
  else caption.textContent = "Where a token reads from. Not why an answer was given.";
}
