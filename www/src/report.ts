// Diagnostics, and the same for a report: as Markdown or JSON. Of the picture its hash, and itself
// only if the person ticks that.

import { programRecord, shown } from "mqt-web";
import { page } from "./actions";
import { bundled } from "./bundled";
import { bytes, copy, dialog, find, h, logged } from "./dom";
import { permalink, settings } from "./settings";
import { state } from "./state";
import * as tokens from "./tokens";
import { report as words } from "./words";

let box: HTMLDialogElement | undefined;

interface Fact {
  name: string;
  value: string;
}

function facts(): Fact[] {
  const { engine, seen, picture, pictures } = page;
  const model = engine?.model;
  const list: [string, string | undefined][] = [
    ["Version", __BUILD__.version + (__BUILD__.commit && ` (${__BUILD__.commit})`)],
    ["State", state()],
    [
      "Model",
      model &&
        `${model.name} ${model.weights}, ${model.offer.max} image tokens, context ${model.context} of ${model.contextMax}`,
    ],
    ["Model SHA-256", model?.sha256],
    [
      "Adapter",
      model
        ? `${model.adapter.kind === "cpu" ? model.adapter.name : (seen?.adapter?.name ?? model.adapter.name)} (${model.adapter.backend}, ${model.adapter.kind})`
        : seen?.adapter?.name,
    ],
    ["Driver", [seen?.driver, model?.adapter.driver].filter(Boolean).join("; ")],
    ["Features", seen?.features?.join(", ")],
    ["Arithmetic", model?.arithmetic],
    [
      "Picture",
      picture?.view &&
        `${picture.view.width} × ${picture.view.height}, hash ${picture.view.hash.slice(0, 16)}`,
    ],
    ["Pictures", pictures.length > 1 ? String(pictures.length) : undefined],
    [
      "Limits",
      seen?.limits &&
        Object.entries(seen.limits)
          .map(([name, value]) => `${name} ${value}`)
          .join(", "),
    ],
    ["Browser", navigator.userAgent],
    ["Online", String(navigator.onLine)],
  ];
  return list.flatMap(([name, value]) => (value ? [{ name, value: shown(value) }] : []));
}

/**
 * Backticks that occur nowhere in `text`, `least` or more: what stands between them is text,
 * whatever it says.
 */
function ticks(text: string, least: number): string {
  const runs = text.match(/`+/g) ?? [];
  return "`".repeat(Math.max(least, ...runs.map(run => run.length + 1)));
}

/** Text of a model, a file or a server for Markdown, on one line. */
function code(text: string): string {
  const line = shown(text).replace(/\s/g, " ");
  const fence = ticks(line, 1);
  return `${fence} ${line} ${fence}`;
}

/** What happened, for programs: `mqt.report/1`. */
export function reportJson(data?: string): string {
  const { picture } = page;
  const about = Object.fromEntries(facts().map(({ name, value }) => [name, value]));
  const image = picture ? { hash: picture.view?.hash ?? null, data: data ?? null } : null;
  const answers = page.records
    .slice(-10)
    .map(({ answer, ...asked }) => ({ ...programRecord(answer), ...asked }));
  return JSON.stringify(
    {
      schema: "mqt.report/1",
      about,
      settings: settings.sampling(),
      picture: image,
      answers,
      log: logged(),
    },
    null,
    2,
  );
}

/**
 * What the model sees of the picture, as a `data:` address: the pixels of the hash, without what a
 * file says of place and camera.
 */
function seenAsPng(): string | undefined {
  const view = page.picture?.view;
  if (!view) return undefined;
  const canvas = h<HTMLCanvasElement>("canvas", { width: view.size, height: view.size });
  const image = new ImageData(view.size, view.size);
  for (let i = 0; i < view.rgb.length / 3; i++)
    image.data.set([...view.rgb.subarray(3 * i, 3 * i + 3), 255], 4 * i);
  canvas.getContext("2d")!.putImageData(image, 0, 0);
  return canvas.toDataURL("image/png");
}

/** What happened, as Markdown. */
export function report(picture?: string): string {
  const answers = page.records.slice(-10).map(({ answer: a }) => {
    const ms = Object.entries(a.timingsMs).map(([stage, value]) => `${stage} ${value.toFixed(1)}`);
    return `- ${code(JSON.stringify(a.question))} → ${code(JSON.stringify(a.answer))} · m=${a.imageTokens} (${a.imageTokensMode}) · ${a.finishReason} · vision runs ${a.visionRuns} · ms: ${ms.join(", ")} · ids ${a.tokenIds.join(" ")}`;
  });
  const lines = logged().map(line => shown(line).replace(/\n/g, " "));
  const fence = ticks(lines.join("\n"), 3);
  const about = facts().map(({ name, value }) => `- ${name}: ${code(value)}`);
  const seen = picture ? [`![picture](${picture})`, ""] : [];
  return [
    "## mqt in the browser",
    ...about,
    "",
    "### Answers",
    ...answers,
    "",
    "### Log",
    fence,
    ...lines,
    fence,
    "",
    ...seen,
  ].join("\n");
}

export async function openDiagnostics(): Promise<void> {
  const button = (label: string, text: () => string, what = "button") => {
    const made = h(what, { type: "button" }, label);
    made.onclick = () => void copy(text(), made);
    return made;
  };
  const ticked = h<HTMLInputElement>("input", { type: "checkbox" });
  const attached = () => (ticked.checked ? seenAsPng() : undefined);
  const buttons = [
    button(words.link, () =>
      permalink(
        tokens.wanted(),
        typeof page.model.from === "string" && page.model !== bundled ? page.model.from : undefined,
        page.adapter,
      ),
    ),
    button(words.json, () => reportJson(attached())),
    button(words.copy, () => report(attached()), "button.main"),
  ];
  box ??= dialog(
    "diagnostics",
    words.title,
    h("dl#facts"),
    h("h3", words.log),
    h("pre#log", { tabIndex: 0, role: "region", "aria-label": words.log }),
    h("p.small", words.note),
    h("label.check", ticked, words.withPicture),
    h("div.actions.end.stick", ...buttons),
  );
  const memory = await page.engine?.memory().catch(() => undefined);
  const sizes = memory ? [{ name: words.wasm, value: bytes(memory.wasmBytes) }] : [];
  if (memory?.gpuBytes) sizes.push({ name: words.gpu, value: bytes(memory.gpuBytes) });
  const all = [...facts(), ...sizes];
  find("#facts").replaceChildren(
    ...all.flatMap(({ name, value }) => [h("dt", name), h("dd", value)]),
  );
  find("#log").textContent = shown(logged().join("\n"), 100_000);
  box.showModal();
  // What happened last is what one looks for.
  find("#log").scrollTop = find("#log").scrollHeight;
}
