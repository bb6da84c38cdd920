// Loads models, one at a time. One that is loaded stays aside while another is on its way, and goes
// on if that cannot be used.

import {
  DEFAULTS,
  Engine,
  EngineError,
  type Keep,
  type Loading,
  type Progress,
  ownServer,
  shown,
  storedPacks,
} from "mqt-web";
import type { Loadable, Start } from "./actions";
import { bundled } from "./bundled";
import { bytes, log } from "./dom";
import { failed } from "./failures";
import * as history from "./history";
import * as loading from "./loading";
import { findUpdate, look } from "./lookup";
import * as notices from "./notices";
import { settings } from "./settings";
import { enter, setPlace, state, whenReady } from "./state";
import * as trouble from "./trouble";
import { type Probe, probe } from "./webgpu";
import * as welcome from "./welcome";
import { place as words } from "./words";

/** A loaded model while another is on its way. */
interface Aside {
  engine: Engine;
  model: Loadable;
  adapter: string;
  context: number;
  keep: Keep;
  /** Goes on with its picture and conversation. */
  goOn: () => Promise<void>;
}

/** The part of the page that loads; what people do with a loaded model is in app.ts. */
export abstract class Loader {
  engine: Engine | undefined;
  loading: Loading | undefined;
  /** `mqt serve --open`, if this page is its. */
  private readonly server = ownServer();
  model: Loadable = this.server
    ? { from: this.server.url.href, name: this.server.model }
    : settings.model
      ? { from: settings.model, name: settings.model }
      : bundled;
  adapter = settings.adapter;
  context: number = DEFAULTS.context;
  seen: Probe | undefined;
  private probed: Promise<Probe> | undefined;
  private keep: Keep = "storage";
  private aside: Aside | undefined;
  private cancelLoad: AbortController | undefined;
  /** Where data is to be saved: the model whose download was agreed to. */
  private agreed: Loadable["from"] | undefined;
  /** Counts loads: what an abandoned one still says is not heard. */
  private attempt = 0;
  protected probing = false;
  private listeners: (() => void)[] = [];

  /** Begins to work with a model that was just loaded, unless that `isOver` meanwhile. */
  protected abstract begin(isOver: () => boolean): Promise<void>;
  /** Lets a question go on that waited for the model or its picture; or drops it. */
  abstract release(go: boolean): void;

  /**
   * Asks the browser what it offers, before anybody presses a button: what cannot work is said at
   * once. Nothing is fetched or compiled.
   */
  async lookAround(): Promise<void> {
    // Nothing of the browser's matters.
    if (this.server) return;
    if (this.adapter === "cpu") return;
    const seen = await (this.probed ??= probe());
    this.seen ??= seen;
    const begun = () =>
      state() !== "first-visit" || this.loading || this.probing || settings.wrongModel;
    if (begun()) return;
    if (this.isBarred(seen)) return this.cannot(seen);
    if (seen.verdict === "good" && !seen.adapter?.software) return;
    const stored = await this.isStored();
    // Somebody may have pressed the button meanwhile.
    if (!begun()) welcome.redraw(stored);
  }

  /** Takes the model of `mqt serve --open`, if this page is its: nothing has to be downloaded. */
  async startServed(): Promise<void> {
    if (this.server) await this.start({ force: true });
  }

  /** Whether nothing can be loaded: without an adapter the processor is used, unless forbidden. */
  private isBarred({ verdict }: Probe): boolean {
    return verdict === "weak" || (verdict === "absent" && this.adapter !== "auto");
  }

  /** Whether the processor will answer, as far as is known before loading. */
  get isOnProcessor(): boolean {
    if (this.adapter !== "auto") return this.adapter === "cpu";
    return this.seen?.verdict === "absent" || this.seen?.adapter?.software === true;
  }

  /** Says why the browser's WebGPU cannot be used. */
  private cannot(seen: Probe): void {
    enter(seen.verdict === "weak" ? "weak-adapter" : "no-webgpu");
    notices.show(seen.verdict === "weak" ? trouble.weakAdapter(seen) : trouble.noWebGpu(seen));
  }

  /** Called when the model, the picture or the conversation changed. */
  onChange(listener: () => void): void {
    this.listeners.push(listener);
  }

  changed(): void {
    for (const listener of this.listeners) listener();
  }

  /** Bytes of a model that lies in the browser's storage, all of it; else more than any has. */
  async storedBytes(model = this.model): Promise<number> {
    const pack = (await storedPacks()).find(pack => pack.url === model.from);
    return pack?.stored === pack?.bytes ? (pack?.bytes ?? Infinity) : Infinity;
  }

  async isStored(model = this.model): Promise<boolean> {
    return (await this.storedBytes(model)) < Infinity;
  }

  /**
   * Loads the model. Nothing is fetched or compiled before somebody asked for it. One load at a
   * time; taking over ends the one before.
   */
  async start(how: Start = {}): Promise<void> {
    if (how.sharing === "take") this.abandon();
    if (this.loading || this.probing) return;
    const attempt = ++this.attempt;
    const isOver = () => attempt !== this.attempt;
    this.keep = how.keep ?? this.keep;
    // With a model set aside the device is known to work.
    if (this.adapter !== "cpu" && !how.force && !this.aside) {
      this.probing = true;
      if (how.probe) this.probed = undefined;
      this.seen = await (this.probed ??= probe());
      if (isOver()) return;
      this.probing = false;
      if (this.isBarred(this.seen)) {
        this.release(false);
        return this.cannot(this.seen);
      }
    }
    if (how.agreed) this.agreed = this.model.from;
    if (this.savesData && (await this.asksFirst(how, isOver))) return;
    const rebuilding = state() === "device-lost";
    this.unload();
    this.cancelLoad = new AbortController();
    // The lock of the one set aside is ours to take.
    const { aside } = this;
    const holdsLock =
      aside !== undefined && typeof aside.model.from === "string" && aside.keep === "storage";
    if (how.sharing === "wait") notices.show(trouble.waitingForTab());
    else if (!rebuilding) loading.begin();
    const options = {
      adapter: this.adapter,
      arithmetic: settings.arithmetic,
      context: this.context,
      keep: this.keep,
      pictures: history.isOn(),
      sharing: how.sharing ?? (holdsLock ? ("take" as const) : ("try" as const)),
      refresh: how.refresh,
      signal: this.cancelLoad.signal,
      onProgress: (progress: Progress) => {
        // That another tab took over is told for as long as the engine is there.
        if (progress.phase === "taken" ? this.engine === engine : !isOver())
          this.progress(progress, rebuilding);
      },
    };
    let engine: Engine | undefined;
    try {
      this.loading = Engine.begin(this.model.from, { ...options, server: this.server?.url });
      engine = await this.loading.engine;
      if (isOver()) return engine.dispose();
    } catch (error) {
      if (isOver()) return;
      this.loading = undefined;
      const problem = EngineError.from(error);
      if (this.aside) await this.takeBack(this.aside, problem);
      else failed(problem);
      // A question goes on waiting if that began another load.
      if (!this.loading && !this.probing) this.release(false);
      return;
    }
    this.dropAside();
    this.engine = engine;
    this.loading = undefined;
    const { adapter, name, weights } = engine.model;
    log(`loaded ${name} ${weights} on ${adapter.name}`);
    this.isKept = typeof this.model.from === "string" && this.keep === "storage";
    this.showPlace();
    notices.clear();
    this.changed();
    await this.begin(isOver);
    if (isOver()) return;
    void navigator.serviceWorker?.ready.then(({ active }) =>
      active?.postMessage("keep everything"),
    );
    void this.lookForUpdate();
  }

  /** Whether nothing may be downloaded before somebody agreed to it: the browser says so. */
  private get savesData(): boolean {
    const { from } = this.model;
    const isFetched = !this.server && typeof from === "string" && this.agreed !== from;
    return isFetched && navigator.connection?.saveData === true;
  }

  /**
   * Says what the download takes, of which nothing begins; a question that waits goes on waiting.
   * False if the model is here already.
   */
  private async asksFirst(how: Start, isOver: () => boolean): Promise<boolean> {
    const from = this.model.from as string;
    this.probing = true;
    try {
      // What an earlier download left here is not fetched again.
      const found = (await this.isStored()) ? undefined : await look(from);
      if (isOver()) return true;
      this.probing = false;
      if (!found?.missing) return false;
      const download = () => this.start({ ...how, agreed: true });
      enter("saving-data", bytes(found.missing));
      const card = notices.show(trouble.savingData(found, download));
      // Who asked in the box below is to see what the question waits for.
      card.scrollIntoView({ block: "nearest" });
      this.changed();
    } catch (error) {
      if (isOver()) return true;
      this.probing = false;
      this.release(false);
      failed(EngineError.from(error));
    }
    return true;
  }

  /** The engine whose device was compared with the other one. */
  compared: Engine | undefined;

  /** Whether what is loaded is in the browser's storage. */
  private isKept = false;

  /** Says in the status line where the model runs and why, which it is, and where it is kept. */
  showPlace(): void {
    if (!this.engine) return;
    const { adapter, name, weights, why } = this.engine.model;
    const cpu = adapter.kind === "cpu";
    const wasCompared = this.compared === this.engine && why.kind === "not-measured";
    const where = cpu
      ? words.cpu
      : words.webgpu(this.seen?.adapter?.name ?? adapter.name) +
        (this.seen?.adapter?.software ? words.software : "");
    const kept =
      typeof this.model.from !== "string" ? words.disk : this.isKept ? words.device : words.memory;
    const reason = wasCompared ? words.measured : words.why(why, cpu);
    setPlace(shown(`${where}${reason} · ${name} ${weights} (${kept})`, 300));
  }

  /** The stored model of that address was deleted: what is loaded of it runs on. */
  deleted(url: string): void {
    if (this.model.from === url) this.isKept = false;
    this.showPlace();
  }

  private unload(): void {
    this.engine?.dispose();
    this.engine = undefined;
  }

  /**
   * Sets the loaded model aside, so that another can be loaded; `goOn` is called if that one cannot
   * be used.
   */
  protected setAside(goOn: () => Promise<void>): void {
    if (!this.engine) return;
    const { engine, model, adapter, context, keep } = this;
    this.aside = { engine, model, adapter, context, keep, goOn };
    this.engine = undefined;
  }

  /** The other model is good: this one is not needed any more. */
  private dropAside(): void {
    this.aside?.engine.dispose();
    this.aside = undefined;
  }

  /**
   * The other model cannot be used, because of `problem`: the one set aside takes its place again.
   */
  private async takeBack(aside: Aside, problem: EngineError): Promise<void> {
    log(`error ${problem.code}: ${problem.message}`);
    const wanted = this.model;
    this.aside = undefined;
    ({
      engine: this.engine,
      model: this.model,
      adapter: this.adapter,
      context: this.context,
      keep: this.keep,
    } = aside);
    this.showPlace();
    notices.clear();
    await aside.goOn();
    if (problem.code !== "cancelled") notices.show(trouble.otherModelFailed(problem, wanted));
  }

  /**
   * Ends the model that is there or on its way, and forgets what it is doing; what was stored
   * stays. The caller says what comes instead.
   */
  abandon(): void {
    this.attempt++;
    this.probing = false;
    this.cancelLoad?.abort();
    this.loading = undefined;
    this.unload();
  }

  private progress(progress: Progress, rebuilding: boolean): void {
    if (progress.phase === "taken") {
      this.abandon();
      this.dropAside();
      this.release(false);
      enter("second-tab");
      return void notices.show(trouble.taken());
    }
    // Its weights go to the device: from now on there would be two.
    if (progress.phase === "uploading") this.dropAside();
    if (progress.phase === "bad-shard")
      log(`${progress.file} was damaged in storage and is fetched again`);
    // Kernels compile beside the download; the download is what one waits for.
    if (progress.phase === "compiling" && ["downloading", "paused", "offline"].includes(state()))
      return;
    // A rebuild is one state from the loss to the end; its card shows how far it has come.
    if (!rebuilding) enter(progress.phase);
    loading.progress(progress, rebuilding);
  }

  pauseDownload(): void {
    this.loading?.pause();
  }

  resumeDownload(): void {
    this.loading?.resume();
  }

  cancelDownload(): void {
    this.agreed = undefined;
    this.cancelLoad?.abort();
  }

  /**
   * A new version of the stored model: looked for once, after the model is ready; never fetched by
   * itself.
   */
  private async lookForUpdate(): Promise<void> {
    const { model, engine } = this;
    if (!engine || typeof model.from !== "string" || !navigator.onLine) return;
    try {
      const update = await findUpdate(model.from, engine.model.sha256);
      if (!update) return;
      await whenReady();
      if (engine !== this.engine) return;
      enter("update-available");
      notices.show(trouble.update(update));
    } catch (error) {
      log(`looking for a new version: ${(error as Error).message}`);
    }
  }
}
