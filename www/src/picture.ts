// The picture in the frame: three ways to look at it, an answer's map over it, and what the model
// cannot do with it.

import { shown as safe } from "mqt-web";
import { type Picture, page } from "./actions";
import { bundled } from "./bundled";
import { find } from "./dom";
import * as heat from "./heat";
import { lay, onOverlay, overlay } from "./overlay";
import { looksLikePhoto } from "./photo";
import { isBusy, onState } from "./state";
import { chips, looked, picture as words } from "./words";

type Show = "original" | "model" | "attention";
let showing: Show = "original";
/** The address of a picture that the browser cannot show. */
let unshown: string | undefined;

export function setUp(): void {
  find("#chip").addEventListener("click", () => page.open("models"));
  for (const button of document.querySelectorAll<HTMLButtonElement>("#views button"))
    button.addEventListener("click", () => {
      showing = button.dataset.show as Show;
      lay();
      draw();
    });
  // The engine may read what the browser cannot show.
  find("#shown").addEventListener("error", () => {
    unshown = page.picture?.url;
    draw();
  });
  page.onChange(draw);
  onOverlay(draw);
  // Something else is asked.
  onState(() => overlay() && draw());
  heat.setUp();
  draw();
}

function draw(): void {
  const { picture } = page;
  const view = picture?.view;
  const over = overlay();
  // A map is of one answer and its pictures. Without it this draws once more.
  const isOf = picture && over?.pictures.includes(picture) && page.pictures.includes(picture);
  if (over && (!isOf || isBusy())) return lay();
  find("#drop-hint").hidden = picture !== undefined;
  find("#views").classList.toggle("idle", picture === undefined);
  const shown = over ? "answer" : view ? showing : "original";
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
  find("#looked").hidden = !over;
  if (over) {
    canvas.classList.add("map");
    canvas.setAttribute("aria-label", looked.map);
    over.draw(picture!);
  } else if (view && shown !== "original") {
    canvas.setAttribute("aria-label", shown === "model" ? words.seen : words.heatMap);
    void heat.draw(canvas, view, shown === "attention");
  }
  const caption = find("#caption");
  if (!picture) caption.textContent = "";
  else if (!view) caption.textContent = picture.url === unshown ? words.cannotShow(name) : name;
  else if (shown === "original" || over)
    caption.textContent = words.size(name, view.width, view.height);
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
export const knowsScenesOnly = () =>
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
