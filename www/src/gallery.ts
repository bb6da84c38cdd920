// The pictures of the conversation as a row of thumbnails, once there are several. The one in the
// frame can be forgotten, or be what a conversation of its own is about.

import { shown } from "mqt-web";
import { page } from "./actions";
import { find, h } from "./dom";
import { knowsScenesOnly } from "./picture";
import { isBusy, onState } from "./state";
import { picture as words } from "./words";

const forget = () => find<HTMLButtonElement>("#forget");
const only = () => find<HTMLButtonElement>("#only");
/** What the box for questions says where there is one picture. */
let placeholder = "";

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
  find("#several").textContent =
    words.all(pictures.length) + (knowsScenesOnly() ? ` ${words.single}` : "");
  const n = picture ? pictures.indexOf(picture) + 1 : 1;
  [forget().textContent, only().textContent] = [words.forget(n), words.only(n)];
  find<HTMLTextAreaElement>("#question").placeholder =
    pictures.length > 1 ? words.askAll(pictures.length) : placeholder;
}

export function setUp(): void {
  forget().addEventListener("click", () => page.picture && void page.drop(page.picture));
  only().addEventListener("click", () => page.picture && void page.only(page.picture));
  onState(() => (forget().disabled = only().disabled = isBusy()));
  placeholder = find<HTMLTextAreaElement>("#question").placeholder;
  page.onChange(draw);
  draw();
}
