// A picture by its address: the one case in which the page asks another server for something,
// because somebody gave that address.

import { EngineError, Unreachable, readAtMost, request, shown, webAddress } from "mqt-web";
import { MOST_PICTURE_BYTES, app } from "./app";
import { dialog, find, h, log } from "./dom";

/** A server that takes longer is as good as none. */
const PATIENCE_MS = 30_000;

let box: HTMLDialogElement | undefined;

/** Asks for an address. */
export function open(): void {
  box ??= build();
  box.showModal();
}

function build(): HTMLDialogElement {
  const field = h<HTMLInputElement>("input#picture-address", {
    type: "url",
    placeholder: "https://…",
    required: true,
  });
  const form = h<HTMLFormElement>(
    "form",
    h("label", { for: "picture-address" }, "Address of a picture"),
    h("div.line", field, h("button.main", { type: "submit" }, "Fetch")),
  );
  field.addEventListener("input", () => field.setCustomValidity(""));
  form.addEventListener("submit", event => {
    event.preventDefault();
    const link = linkIn(field.value);
    field.setCustomValidity(link ? "" : "That is not the address of a picture.");
    if (!link) return field.reportValidity();
    made.close();
    field.value = "";
    void take(link);
  });
  const made: HTMLDialogElement = dialog(
    "address-dialog",
    "A picture from the web",
    h(
      "p",
      "The page asks that server for the picture, without cookies and without saying where you come from; nothing else is sent. The server has to allow it (CORS).",
    ),
    form,
  );
  return made;
}

/**
 * The address in a text that is nothing else: `https:`, `http:`, or a picture written out as
 * `data:`.
 */
export function linkIn(text: string | undefined): URL | undefined {
  // A list of links has comments and several lines; the first link counts.
  const line = text
    ?.split(/\r?\n/)
    .find(line => line !== "" && !line.startsWith("#"))
    ?.trim();
  if (!line || !/^(https?:|data:image\/)\S+$/i.test(line)) return undefined;
  return URL.canParse(line) ? new URL(line) : undefined;
}

/**
 * Counts what was asked for: a slow server's picture comes too late if another was taken meanwhile.
 */
let asked = 0;

/** The last part of the path, decoded if that can be done. */
function fileName(link: URL): string {
  const name = link.pathname.split("/").pop() ?? "";
  try {
    return decodeURIComponent(name) || link.host;
  } catch {
    return name;
  }
}

/**
 * Fetches the picture and shows it to the model; what goes wrong is said under the picture, which
 * stays.
 */
export async function take(link: URL): Promise<void> {
  const [mine, before] = [++asked, app.picture];
  const isLate = () => mine !== asked || app.picture !== before;
  const say = (text: string) => void (isLate() || (find("#remark").textContent = text));
  const name = fileName(link);
  const host = shown(link.host, 100) || "this address";
  say(`Fetching ${link.protocol === "data:" ? "the picture" : shown(name, 100)} …`);
  try {
    const blob = link.protocol === "data:" ? writtenOut(link.href) : await fetchPicture(link);
    if (isLate()) return log(`picture from ${host}: came after another was chosen`);
    say("");
    await app.attach(blob, link.protocol === "data:" ? "pasted picture" : name);
  } catch (error) {
    log(`picture from ${host}: ${(error as Error).message}`);
    if (error instanceof Refused) say(error.message);
    else if (error instanceof EngineError && !(error instanceof Unreachable))
      say(`${error.message}.`);
    else if (!navigator.onLine) say("There is no network. The picture was not fetched.");
    else
      say(
        `${host} cannot be reached, or does not let other pages read its pictures (CORS). Save the picture, then choose the file.`,
      );
  }
}

class Refused extends Error {}

async function fetchPicture(link: URL): Promise<Blob> {
  const response = await request(webAddress(link.href), {
    credentials: "omit",
    referrerPolicy: "no-referrer",
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  const type = response.headers.get("content-type") ?? "";
  const refuse = (why: string) => {
    void response.body?.cancel();
    throw new Refused(why);
  };
  if (!response.ok)
    refuse(`${link.host} answered ${response.status}: there is no picture at that address.`);
  if (/^(text|audio|video)\//.test(type))
    refuse(`What ${link.host} sends from there is no picture.`);
  const bytes = await readAtMost(response, MOST_PICTURE_BYTES);
  if (!bytes) throw new Refused(`What ${link.host} sends from there is too large for a picture.`);
  return new Blob([bytes], { type: type.split(";")[0] });
}

/** The bytes of a `data:` address, which the page's policy lets nobody fetch. */
function writtenOut(href: string): Blob {
  const [, type, encoding, data = ""] = /^data:([^;,]*)[^,]*?(;base64)?,(.*)$/is.exec(href) ?? [];
  if (!encoding) throw new Refused("Only pictures in base64 can be pasted as text.");
  try {
    return new Blob([Uint8Array.from(atob(decodeURIComponent(data)), c => c.charCodeAt(0))], {
      type,
    });
  } catch {
    throw new Refused("That text is not a picture in base64.");
  }
}
