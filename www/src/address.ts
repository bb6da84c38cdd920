// A picture by its address: the one case in which the page asks another server for something,
// because somebody gave that address. A script of its own, fetched when that happens.

import { EngineError, Unreachable, readAtMost, request, shown, webAddress } from "mqt-web";
import { type Put, page } from "./actions";
import { dialog, find, h, log } from "./dom";
import { MOST_PICTURE_BYTES } from "./limits";
import { linkIn } from "./link";
import { picture as names } from "./words";
import { fetched as words } from "./words-later";

/** A server that takes longer is as good as none. */
const PATIENCE_MS = 30_000;

let box: HTMLDialogElement | undefined;
/** Where the picture goes. */
let put: Put;

/** Asks for an address. */
export function open(to: Put): void {
  put = to;
  box ??= build();
  box.showModal();
}

function build(): HTMLDialogElement {
  const field = h<HTMLInputElement>("input#picture-address", {
    type: "text",
    inputMode: "url",
    autocapitalize: "none",
    spellcheck: false,
    autofocus: true,
    placeholder: "https://…",
  });
  const line = h("p.small", { role: "status" });
  const form = h<HTMLFormElement>(
    "form",
    { noValidate: true },
    h("label", { for: "picture-address" }, words.label),
    h("div.line", field, h("button.main", { type: "submit" }, words.fetch)),
    line,
  );
  const say = (text: string) => void (line.textContent = text);
  field.addEventListener("input", () => say(""));
  form.addEventListener("submit", async event => {
    event.preventDefault();
    const typed = field.value.trim();
    // Most leave the scheme out.
    const link = linkIn(typed) ?? (typed.includes(".") ? linkIn(`https://${typed}`) : undefined);
    if (!link) {
      say(words.noAddress);
      return field.focus();
    }
    // What went wrong is said here, with what was typed.
    if (!(await take(link, put, say)) || !made.open) return;
    made.close();
    field.value = "";
  });
  const made: HTMLDialogElement = dialog("address-dialog", words.title, h("p", words.note), form);
  made.addEventListener("close", () => say(""));
  return made;
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

const remark = (text: string) => void (find("#remark").textContent = text);

/**
 * Fetches the picture and puts it before the model, which it resolves to true for; what goes wrong
 * is said, and the picture before it stays.
 */
export async function take(link: URL, put: Put, tell = remark): Promise<boolean> {
  const [mine, before] = [++asked, page.picture];
  const isLate = () => mine !== asked || page.picture !== before;
  const say = (text: string) => void (isLate() || tell(text));
  const name = fileName(link);
  const host = shown(link.host, 100) || words.thisAddress;
  say(words.fetching(link.protocol === "data:" ? words.thePicture : shown(name, 100)));
  try {
    const blob = link.protocol === "data:" ? writtenOut(link.href) : await fetchPicture(link);
    if (isLate()) {
      log(`picture from ${host}: came after another was chosen`);
      return false;
    }
    say("");
    void put(blob, link.protocol === "data:" ? names.pasted : name);
    return true;
  } catch (error) {
    log(`picture from ${host}: ${(error as Error).message}`);
    if (error instanceof Refused) say(error.message);
    else if (error instanceof EngineError && !(error instanceof Unreachable))
      say(`${error.message}.`);
    else if (!navigator.onLine) say(words.offline);
    else say(words.unreachable(host));
    return false;
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
  if (!response.ok) refuse(words.answered(link.host, response.status));
  if (/^(text|audio|video)\//.test(type)) refuse(words.noPicture(link.host));
  const bytes = await readAtMost(response, MOST_PICTURE_BYTES);
  if (!bytes) throw new Refused(words.tooLarge(link.host));
  return new Blob([bytes], { type: type.split(";")[0] });
}

/** The bytes of a `data:` address, which the page's policy lets nobody fetch. */
function writtenOut(href: string): Blob {
  const [, type, encoding, data = ""] = /^data:([^;,]*)[^,]*?(;base64)?,(.*)$/is.exec(href) ?? [];
  if (!encoding) throw new Refused(words.noBase64);
  try {
    return new Blob([Uint8Array.from(atob(decodeURIComponent(data)), c => c.charCodeAt(0))], {
      type,
    });
  } catch {
    throw new Refused(words.badBase64);
  }
}
