// The pictures of the conversation as a row of thumbnails, once there are several: one is in the
// frame, and can be forgotten.

import { shown } from "mqt-web";
import { page } from "./actions";
import { find, h } from "./dom";
import { knowsScenesOnly } from "./picture";
import { isBusy, onState } from "./state";
import { picture as words } from "./words";

const forget = () => find<HTMLButtonElement>("#forget");

function draw(): void {
  const { pictures, picture } = page;
  const row = find("#gallery");
  row.hidden = pictures.length < 2;
  const thumbs = pictures.map((one, i) =>
    h(
      "button",
      {
        type: "button",
        title: one.name,
        "aria-label": words.nth(i + 1, shown(one.name, 60)),
        "aria-pressed": String(one === picture),
        onclick: () => page.frame(one),
      },
      h<HTMLImageElement>("img", { src: one.url, alt: "", width: 40, height: 40 }),
      h("b", { "aria-hidden": "true" }, String(i + 1)),
    ),
  );
  const list = find("#thumbs");
  const focused = [...list.children].indexOf(document.activeElement!);
  list.replaceChildren(...thumbs);
  if (focused >= 0) thumbs[focused]?.focus();
  find("#several").textContent = knowsScenesOnly() ? words.single : "";
  forget().textContent = words.forget(picture ? pictures.indexOf(picture) + 1 : 1);
}

export function setUp(): void {
  forget().addEventListener("click", () => page.picture && void page.drop(page.picture));
  onState(() => (forget().disabled = isBusy()));
  page.onChange(draw);
  draw();
}
