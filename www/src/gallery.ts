// The pictures in hand as a row of thumbnails, once there are several. The one in the frame can be
// forgotten, or be what a conversation of its own is about; from there the others are one press
// away.

import { shown } from "mqt-web";
import { type Picture, page } from "./actions";
import { find, h } from "./dom";
import { knowsScenesOnly } from "./picture";
import { isBusy, onState } from "./state";
import { picture as words } from "./words";

const forget = () => find<HTMLButtonElement>("#forget");
const begin = () => find<HTMLButtonElement>("#only");
/** What the box for questions says where there is one picture. */
let placeholder = "";

/** Whether the conversation is about one of several pictures in hand. */
const isAlone = () => page.pictures.length < page.album.length;

function thumb(one: Picture, i: number): HTMLElement {
  // A conversation of its own has made another object of the same picture.
  const isShown = one.url === page.picture?.url;
  const others = isAlone() && !isShown;
  const label = others ? words.only(i + 1) : words.nth(i + 1, shown(one.name, 60));
  return h(
    "button",
    {
      type: "button",
      title: others ? label : one.name,
      "aria-label": label,
      "aria-pressed": String(isShown),
      onclick: () => (others ? void page.about([one]) : isAlone() || page.frame(one)),
    },
    h<HTMLImageElement>("img", { src: one.url, alt: "", width: 40, height: 40 }),
    h("b", { "aria-hidden": "true" }, String(i + 1)),
  );
}

function draw(): void {
  const { pictures, picture, album } = page;
  find("#gallery").hidden = album.length < 2;
  const list = find("#thumbs");
  const focused = [...list.children].indexOf(document.activeElement!);
  const thumbs = album.map(thumb);
  list.replaceChildren(...thumbs);
  if (focused >= 0) thumbs[focused]?.focus();
  const n = album.findIndex(({ url }) => url === picture?.url) + 1;
  find("#several").textContent = isAlone()
    ? words.alone(n, album.length)
    : words.all(pictures.length) + (knowsScenesOnly() ? ` ${words.single}` : "");
  // In full for those who do not see which one it is.
  begin().ariaLabel = isAlone() ? null : words.onlyThis(n);
  begin().textContent = isAlone() ? words.allAgain(album.length) : words.onlyIt;
  begin().title = isAlone() ? words.allAgainHint : words.onlyHint;
  [forget().hidden, forget().ariaLabel] = [isAlone(), words.forget(n)];
  [forget().textContent, forget().title] = [words.forgetIt, words.forgetHint];
  find<HTMLTextAreaElement>("#question").placeholder =
    pictures.length > 1 ? words.askAll(pictures.length) : placeholder;
}

export function setUp(): void {
  forget().addEventListener("click", () => page.picture && void page.drop(page.picture));
  begin().addEventListener(
    "click",
    () => page.picture && void page.about(isAlone() ? page.album : [page.picture]),
  );
  onState(() => (forget().disabled = begin().disabled = isBusy()));
  placeholder = find<HTMLTextAreaElement>("#question").placeholder;
  page.onChange(draw);
  draw();
}
