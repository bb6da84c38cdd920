// The benchmark panel: how fast this device is, by the harness of `mqt bench`.

import { type BenchReport, EngineError, programRecord, shown } from "mqt-web";
import { page } from "./actions";
import { bytes, copy, dialog, find, h, log, seconds } from "./dom";
import { failed } from "./failures";
import { overTokens } from "./plot";
import { isBusy } from "./state";
import { place } from "./words";
import { benchmark as words } from "./words-later";

let box: HTMLDialogElement | undefined;
let running: AbortController | undefined;
let report: BenchReport | undefined;

/** Opens the panel; nothing runs before somebody presses *Run*. */
export function open(): void {
  box ??= build();
  refresh();
  box.showModal();
}

function build(): HTMLDialogElement {
  const run = h(
    "button.main#bench-run",
    { type: "button", onclick: () => void measure() },
    words.run,
  );
  const stop = h(
    "button#bench-stop",
    { type: "button", onclick: () => running?.abort() },
    words.stop,
  );
  const text = h("button#bench-copy", { type: "button" }, words.json);
  text.onclick = () => void copy(JSON.stringify(report && programRecord(report), null, 2), text);
  const made = dialog(
    "benchmark",
    words.title,
    h("p", words.what),
    h("p#bench-line.small", { role: "status" }),
    h("div#bench-result"),
    h("div.actions.end", text, stop, run),
  );
  made.addEventListener("close", () => running?.abort());
  return made;
}

function refresh(line?: string): void {
  const able = page.engine !== undefined && !isBusy() && !running;
  find<HTMLButtonElement>("#bench-run").disabled = !able;
  find<HTMLButtonElement>("#bench-stop").disabled = !running;
  find<HTMLButtonElement>("#bench-copy").disabled = !report || running !== undefined;
  const why = !page.engine ? words.noModel : isBusy() ? words.busy : "";
  find("#bench-line").textContent = line ?? (running ? "" : why);
}

async function measure(): Promise<void> {
  const { engine } = page;
  if (!engine || running) return;
  running = new AbortController();
  refresh(words.warmUp);
  let line = "";
  try {
    report = await engine.bench({
      signal: running.signal,
      onProgress: what => refresh(`${what} …`),
    });
    find("#bench-result").replaceChildren(...draw(report));
    line = words.medians;
  } catch (error) {
    const problem = EngineError.from(error);
    log(`benchmark: ${problem.code} ${problem.message}`);
    line = problem.code === "cancelled" ? words.stopped : shown(problem.message);
    if (["device-lost", "internal"].includes(problem.code)) failed(problem);
  } finally {
    running = undefined;
    refresh(line);
  }
}

const three = (value: number) =>
  Number(value.toPrecision(3)).toLocaleString("en", { maximumSignificantDigits: 3 });

function draw(r: BenchReport): HTMLElement[] {
  const c = r.ceilings;
  const rate = (value: number | null, unit: string) =>
    value === null ? undefined : `${three(value)} ${unit}`;
  const rows: [string, string | undefined][] = [
    [
      words.rows.where,
      r.adapter.kind === "cpu"
        ? place.cpu
        : shown(`${page.seen?.adapter?.name ?? r.adapter.name} (${r.adapter.backend})`, 200),
    ],
    [
      words.rows.model,
      words.perToken(shown(r.model.name, 100), r.model.weights, bytes(r.model.bytesPerToken)),
    ],
    [words.rows.read, rate(c.readGbS, "GB/s")],
    [words.rows.compute, rate(c.fmaF32GflopS, words.flops)],
    [words.rows.picture, r.vision ? seconds(r.vision.ms + (r.resampleMs ?? 0)) : undefined],
    ...r.prefill.map((p): [string, string] => [
      words.prompt(p.tokens),
      `${seconds(p.ms)}, ${three(p.tokensPerSecond)} tokens/s`,
    ]),
    ...r.decode.map((d): [string, string] => [
      words.generation(d.context),
      `${three(d.tokensPerSecond)} tokens/s`,
    ]),
    [words.rows.weights, seconds(r.startupMs.weights)],
    [words.rows.kernels, seconds(r.startupMs.pipelines + r.startupMs.warmUp)],
    [words.rows.memory, r.gpuBytesPeak > 0 ? bytes(r.gpuBytesPeak) : undefined],
  ];
  const list = h(
    "dl",
    ...rows.flatMap(([name, value]) =>
      value === undefined ? [] : [h("dt", name), h("dd", value)],
    ),
  );
  const points = r.firstToken.map(f => ({ m: f.imageTokens, ms: f.ms }));
  if (points.length < 2) return [list];
  const plot = h("div.plot", h("p.small", words.plot));
  plot.append(overTokens(points, words.plotLabel));
  return [list, plot];
}
