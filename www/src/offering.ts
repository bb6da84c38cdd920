// What a model at an address would take, said before anything of it but its manifest is fetched. A
// script of its own, fetched when somebody asks for one.

import { EngineError } from "mqt-web";
import { type Loadable, page } from "./actions";
import { bytes } from "./dom";
import { look } from "./lookup";
import { type Action, clear, sentence, show } from "./notices";
import { enter } from "./state";
import { otherModel } from "./welcome";
import { offer as words } from "./words-later";

/** Counts offers: a slow server's comes too late if another was asked for meanwhile. */
let offers = 0;

/** Says what a model would take; one that is here is loaded at once. */
export async function offer(model: Loadable): Promise<void> {
  const mine = ++offers;
  const load = () => {
    clear(); // the offer is taken: from now on the download is told about
    return page.switchTo({ model });
  };
  let card: HTMLElement;
  try {
    if (typeof model.from !== "string" || (await page.isStored(model))) return await load();
    const { name, missing, total } = await look(model.from);
    const { quota, usage = 0 } = (await navigator.storage?.estimate?.()) ?? {};
    const room = quota === undefined ? "" : words.room(bytes(Math.max(0, quota - usage)));
    if (mine !== offers) return;
    const all = missing < total ? bytes(total) : undefined;
    card = show({
      kind: "welcome",
      title: name,
      text: [words.download(bytes(missing), all, new URL(model.from).host, room)],
      actions: [
        { label: words.button(bytes(missing)), run: load, main: true },
        otherModel,
        ...keep(),
      ],
    });
  } catch (error) {
    if (mine !== offers) return;
    card = show({
      kind: "trouble",
      title: navigator.onLine ? words.unreachable : words.offline,
      text: [sentence(EngineError.from(error).message), words.nothing],
      actions: [{ label: words.again, run: () => offer(model), main: true }, otherModel, ...keep()],
    });
    if (!page.engine && !page.loading) enter("offline");
  }
  card.dataset.offer = "";
}

/** What to press to stay with the model that is there, or on its way. */
const keep = (): Action[] =>
  page.engine || page.loading ? [{ label: words.keep, run: clear }] : [];
