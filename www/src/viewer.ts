// The picture and the conversation about it: a picture is taken, shown to the model, or put aside;
// questions about it are asked in app.ts.

import { type Answer, type Engine, EngineError, type Turn, shown } from "mqt-web";
import type { Change, Picture, Recorded } from "./actions";
import * as conversation from "./conversation";
import { log } from "./dom";
import { failed } from "./failures";
import { MOST_PICTURE_BYTES } from "./limits";
import { Loader } from "./loader";
import * as notices from "./notices";
import { settings } from "./settings";
import { enter, isOpen, state } from "./state";
import * as steps from "./steps";
import * as tokens from "./tokens";
import * as trouble from "./trouble";
import { picture as words } from "./words";

export abstract class Viewer extends Loader {
  picture: Picture | undefined;
  /** The conversation about the picture: this one holds, every question takes it along. */
  turns: Turn[] = [];
  /**
   * Another object with every new conversation: what an earlier one still answers belongs to none.
   */
  protected talk = {};
  /**
   * The conversation that began when a model was set aside: if it is still this one, the one before
   * comes back with that model.
   */
  private talkAside: object | undefined;
  /** Which engine looked at which picture last. */
  private looked: { engine: Engine; picture: Picture } | undefined;
  /** Of every answer, for the report: the picture by its hash, and what was set then. */
  records: Recorded[] = [];
  protected work: AbortController | undefined;
  protected preparing: AbortController | undefined;
  /** A question that waits for the model: lets it go on, or drops it. */
  protected waiting: ((go: boolean) => void) | undefined;

  protected override async begin(isOver: () => boolean): Promise<void> {
    if (settings.sampling().system)
      await this.instruct().catch(error => notices.remark(EngineError.from(error).message));
    if (isOver()) return;
    this.checkRestored();
    // After a rebuild that is the picture and all that was said about it.
    if (this.picture) await this.encode();
    else enter("ready");
    if (!isOver()) this.release(true);
  }

  /** Which model's words the conversation is in that was kept over a reload. */
  private restoredOf: string | undefined;

  /** Puts back the picture and the conversation that were there before a reload. */
  restore(picture: Picture, answers: Answer[]): void {
    [this.picture, this.turns] = [picture, answers];
    this.restoredOf = answers[0]?.model.sha256 ?? "";
    conversation.restore(picture, answers);
    this.changed();
  }

  /** Another model cannot go on with it: the answers stay to be read. */
  private checkRestored(): void {
    const [of, { sha256 }] = [this.restoredOf, this.engine!.model];
    this.restoredOf = undefined;
    if (of === undefined || of === sha256 || this.turns.length === 0) return;
    this.turns = [];
    this.talk = {};
    conversation.newPicture();
  }

  override abandon(): void {
    this.work = undefined;
    super.abandon();
  }

  /** Whether a question waits for the model already. */
  get isWaiting(): boolean {
    return this.waiting !== undefined;
  }

  /** Lets a question go on that waited for the model; or drops it. */
  release(go: boolean): void {
    this.waiting?.(go);
    this.waiting = undefined;
  }

  /** Another model, or the same one on another device. */
  async switchTo(change: Change): Promise<void> {
    if (change.model || change.refresh) this.leaveConversation(change.model !== undefined);
    this.model = change.model ?? this.model;
    this.adapter = change.adapter ?? this.adapter;
    this.context = change.context ?? this.context;
    this.abandon();
    this.changed();
    enter("first-visit");
    await this.start({
      force: change.adapter === "cpu",
      refresh: change.refresh,
      keep: change.keep,
    });
  }

  /**
   * What was said is in the words of the model that was there, and so are the cards. With that
   * model it comes back, if it `mayComeBack`.
   */
  private leaveConversation(mayComeBack: boolean): void {
    const { picture, turns, talk } = this;
    this.forget();
    if (picture) this.picture = { ...picture, view: undefined, before: undefined };
    const restore = conversation.newPicture();
    if (!mayComeBack) return;
    if (this.engine || this.talkAside === talk) this.talkAside = this.talk;
    this.work?.abort();
    this.setAside(async () => {
      if (this.talk === this.talkAside) {
        [this.picture, this.turns] = [picture, turns];
        restore();
      }
      this.changed();
      if (this.engine && this.picture && !this.hasLooked(this.engine, this.picture))
        await this.encode();
      else enter("ready");
    });
  }

  /**
   * Takes a picture. It is encoded at once if there is a model, so that the question need not wait.
   */
  async attach(blob: Blob, name: string): Promise<void> {
    if (blob.size > MOST_PICTURE_BYTES) return notices.remark(words.tooLarge(shown(name, 100)));
    this.work?.abort();
    const { picture, turns } = this;
    this.forget();
    const taken: Picture = { blob, name, url: URL.createObjectURL(blob) };
    this.picture = taken;
    taken.before = { picture, turns, restore: conversation.newPicture() };
    notices.remark("");
    this.changed();
    if (this.engine) await this.encode();
    else if (!this.loading && state() === "first-visit" && (await this.isStored()))
      await this.start();
  }

  /** Begins another conversation; a question that waits belongs to the one before. */
  protected forget(): void {
    this.turns = [];
    this.talk = {};
    this.release(false);
  }

  protected hasLooked(engine: Engine, picture: Picture): boolean {
    return this.looked?.engine === engine && this.looked.picture === picture;
  }

  /** Puts the picture before the engine, if it is not there. */
  protected async look(engine: Engine, picture: Picture, signal: AbortSignal): Promise<void> {
    if (this.hasLooked(engine, picture)) return;
    picture.view = await engine.look(picture.blob, { signal, onStep: steps.show });
    this.looked = { engine, picture };
    // It can be read: those before it are not needed any more.
    for (let before = picture.before?.picture; before; before = before.before?.picture)
      URL.revokeObjectURL(before.url);
    picture.before = undefined;
    // What there is to choose from may depend on the picture.
    if (picture.view.offer) tokens.take(picture.view.offer);
  }

  /** Goes back to the picture before one that cannot be read. */
  private async refuse(picture: Picture, problem: EngineError): Promise<void> {
    if (this.picture !== picture) return;
    const { before } = picture;
    URL.revokeObjectURL(picture.url);
    this.forget();
    [this.picture, this.turns] = [before?.picture, before?.turns ?? []];
    before?.restore();
    this.changed();
    const { engine } = this;
    if (engine && this.picture && !this.hasLooked(engine, this.picture)) await this.encode();
    else enter("ready");
    notices.show(trouble.unreadable(problem, picture.name, this.picture !== undefined));
  }

  private async encode(): Promise<void> {
    const { engine, picture } = this;
    if (!engine || !picture) return;
    const work = (this.work = new AbortController());
    enter("encoding");
    steps.begin("encoding");
    try {
      await this.look(engine, picture, work.signal);
      await engine.resume(this.turns);
      if (this.work !== work) return;
      enter("ready");
      this.changed();
      if (picture.view?.readingsDiffer) notices.remark(words.readings);
    } catch (error) {
      const problem = EngineError.from(error);
      if (problem.code === "image-unreadable" && (await this.redraw(picture))) return this.encode();
      if (this.work !== work) return;
      if (problem.code !== "image-unreadable") return failed(problem);
      log(`error ${problem.code}: ${problem.message}`);
      return this.refuse(picture, problem);
    }
    void this.prepare();
  }

  /**
   * HEIC, AVIF and the like: what only the browser can decode becomes a PNG. Its colours are then
   * the browser's.
   */
  private async redraw(picture: Picture): Promise<boolean> {
    if (picture.redrawn) return false;
    try {
      const bitmap = await createImageBitmap(picture.blob);
      const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
      canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
      picture.blob = await canvas.convertToBlob({ type: "image/png" });
      picture.name += words.redrawn;
      picture.redrawn = true;
      return true;
    } catch {
      return false;
    }
  }

  /**
   * Lets the conversation open as the drawer says; rejects with what is wrong with that, and the
   * one before stays.
   */
  async instruct(): Promise<void> {
    await this.engine?.instruct(settings.sampling().system || undefined);
    void this.prepare();
  }

  /** Reads the image tokens while the person types. */
  async prepare(): Promise<void> {
    const { engine, picture } = this;
    if (
      !engine ||
      !picture ||
      !this.hasLooked(engine, picture) ||
      !isOpen() ||
      this.turns.length > 0
    )
      return;
    this.preparing?.abort();
    const preparing = (this.preparing = new AbortController());
    try {
      const m =
        tokens.wanted() ??
        (await engine.estimate(undefined, "", settings.sampling().targetMs)).imageTokens;
      await engine.prepare(m, { signal: preparing.signal });
      await tokens.refresh();
    } catch (error) {
      // Stopped, or the next question will meet the same failure and say so.
      log(`prepare: ${(error as Error).message}`);
    }
  }
}
