// The pictures before the engine: one is taken, added, shown to the model, or put aside. The
// conversation about them is in talk.ts; questions are asked in app.ts.

import { type Engine, EngineError, shown } from "mqt-web";
import type { Change, Picture, Recorded } from "./actions";
import * as conversation from "./conversation";
import { log } from "./dom";
import { failed } from "./failures";
import { MOST_PICTURE_BYTES } from "./limits";
import * as notices from "./notices";
import { selected } from "./selecting";
import { settings } from "./settings";
import { enter, isBusy, isOpen, state } from "./state";
import * as steps from "./steps";
import { Talk } from "./talk";
import * as tokens from "./tokens";
import * as trouble from "./trouble";
import { picture as words } from "./words";

export abstract class Viewer extends Talk {
  /**
   * The conversation that began when a model was set aside: if it is still this one, the one before
   * comes back with that model.
   */
  private talkAside: object | undefined;
  /** Which engine looks at which pictures. */
  private looked: { engine: Engine; pictures: Picture[] } | undefined;
  /** Pictures are put before the engine one after the other. */
  private looking: Promise<unknown> = Promise.resolve();
  /** The question that is being answered, if it becomes part of the conversation. */
  protected asking: object | undefined;
  /** Of every answer, for the report: the picture by its hash, and what was set then. */
  records: Recorded[] = [];
  /** The work that began with a picture, not with a question. */
  private reading: AbortController | undefined;
  protected preparing: AbortController | undefined;

  protected override async begin(isOver: () => boolean): Promise<void> {
    if (settings.sampling().system)
      await this.instruct().catch(error => notices.remark(EngineError.from(error).message));
    if (isOver()) return;
    this.checkRestored();
    // After a rebuild those are the pictures and all that was said about them.
    if (this.picture) await this.encode();
    else enter("ready");
    if (!isOver()) this.release(true);
  }

  override abandon(): void {
    this.work = undefined;
    super.abandon();
  }

  /** Whether a picture is being encoded, and no question asked yet. */
  get isReading(): boolean {
    return state() === "encoding" && this.work !== undefined && this.work === this.reading;
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
      // Another model is chosen by a button that says how much it is.
      agreed: change.model !== undefined,
    });
  }

  /**
   * What was said is in the words of the model that was there, and so are the cards. With that
   * model it comes back, if it `mayComeBack`.
   */
  private leaveConversation(mayComeBack: boolean): void {
    const { picture, pictures, turns, talk } = this;
    this.forget();
    this.pictures = pictures.map(p => ({ ...p, view: undefined, before: undefined, turn: 0 }));
    this.picture = this.pictures[picture ? pictures.indexOf(picture) : 0];
    const restore = conversation.begin(pictures, turns);
    conversation.place(this.pictures);
    if (!mayComeBack) return;
    if (this.engine || this.talkAside === talk) this.talkAside = this.talk;
    this.work?.abort();
    this.setAside(async () => {
      if (this.talk === this.talkAside) {
        [this.picture, this.pictures, this.turns] = [picture, pictures, turns];
        restore();
      }
      this.changed();
      await this.catchUp();
    });
  }

  /**
   * Takes a picture for a new conversation. It is encoded at once if there is a model, so that the
   * question need not wait.
   */
  async attach(blob: Blob, name: string): Promise<void> {
    if (blob.size > MOST_PICTURE_BYTES) return notices.remark(words.tooLarge(shown(name, 100)));
    this.work?.abort();
    const { picture, pictures, others, turns } = this;
    const wasSaid = conversation.isSaid(turns);
    if (picture?.view) this.letGo([picture]);
    this.forget();
    const taken: Picture = { blob, name, url: URL.createObjectURL(blob), turn: 0 };
    [this.picture, this.pictures, this.others] = [taken, [taken], []];
    const restore = conversation.begin(pictures, turns);
    taken.before = { picture, pictures, others, turns, restore };
    const { talk } = this;
    notices.remark("");
    notices.noUndo();
    if (wasSaid)
      notices.offerUndo(words.anew, () => {
        // Too late once something else was begun.
        if (talk !== this.talk || this.turns.length > 0) return;
        this.goBack(taken);
        void this.catchUp();
      });
    this.changed();
    if (this.engine) await this.encode();
    else if (!this.loading && state() === "first-visit" && (await this.isStored()))
      await this.start();
  }

  /** Takes one more picture into the conversation, before the next question. */
  async add(blob: Blob, name: string): Promise<void> {
    if (this.pictures.length === 0) return this.attach(blob, name);
    if (blob.size > MOST_PICTURE_BYTES) return notices.remark(words.tooLarge(shown(name, 100)));
    // A question that is being answered does not know it yet.
    const turn = this.turns.length + (this.asking ? 1 : 0);
    this.picture = { blob, name, url: URL.createObjectURL(blob), turn };
    this.pictures = [...this.pictures, this.picture];
    this.others = [];
    conversation.place(this.pictures);
    notices.remark("");
    notices.noUndo();
    this.changed();
    // What is under way goes on, and looks at it afterwards.
    if (this.engine && !isBusy()) await this.encode();
  }

  frame(picture: Picture): void {
    this.picture = picture;
    this.changed();
  }

  async drop(picture: Picture): Promise<void> {
    const { pictures, picture: framed, talk, turns } = this;
    if (pictures.length < 2 || isBusy()) return;
    this.remove(picture);
    const left = this.pictures;
    notices.remark("");
    notices.offerUndo(words.forgot(pictures.indexOf(picture) + 1), () => {
      // Too late once something else was begun.
      if (talk !== this.talk || turns !== this.turns || left !== this.pictures) return;
      [this.picture, this.pictures] = [framed, pictures];
      conversation.place(pictures);
      this.save();
      this.changed();
      void this.catchUp();
    });
    this.save();
    if (!this.engine) return;
    if (!this.loading) notices.clear();
    await this.encode();
  }

  private remove(picture: Picture): void {
    this.pictures = this.pictures.filter(other => other !== picture);
    if (this.picture === picture) this.picture = this.pictures.at(-1);
    conversation.place(this.pictures);
    this.changed();
  }

  protected hasLooked(engine: Engine, pictures = this.pictures): boolean {
    const { looked } = this;
    return (
      looked?.engine === engine &&
      looked.pictures.length === pictures.length &&
      looked.pictures.every((picture, i) => picture === pictures[i])
    );
  }

  /** The engine has looked at something else meanwhile. */
  protected lookAgain(): void {
    this.looked = undefined;
  }

  /** Puts these pictures before the engine, and no others. */
  protected look(engine: Engine, pictures: Picture[], signal: AbortSignal): Promise<void> {
    const looks = this.looking.then(() => this.lookAt(engine, pictures, signal));
    this.looking = looks.catch(() => undefined);
    return looks;
  }

  private async lookAt(engine: Engine, wanted: Picture[], signal: AbortSignal): Promise<void> {
    if (this.hasLooked(engine, wanted)) return;
    const set = (pictures: Picture[]) => (this.looked = { engine, pictures });
    let there = this.looked?.engine === engine ? this.looked.pictures : [];
    const stay = there.filter(picture => wanted.includes(picture));
    if (stay.length > 0 && stay.every((picture, i) => picture === wanted[i]))
      for (const picture of there.filter(picture => !stay.includes(picture)).reverse()) {
        await engine.forget(there.indexOf(picture));
        set((there = there.filter(other => other !== picture)));
      }
    else there = [];
    for (const picture of wanted.slice(there.length)) {
      const options = { signal, onStep: steps.show };
      picture.view = await (there.length > 0
        ? engine.lookAlso(picture.blob, options)
        : engine.look(picture.blob, options));
      set((there = [...there, picture]));
    }
    // What there is to choose from may depend on the pictures.
    tokens.take(await engine.offer(selected()));
  }

  /** Goes back to what was there before a picture came. */
  private goBack({ before, url }: Picture): void {
    this.forget();
    [this.picture, this.pictures] = [before?.picture, before?.pictures ?? []];
    [this.others, this.turns] = [before?.others ?? [], before?.turns ?? []];
    before?.restore();
    URL.revokeObjectURL(url);
    this.changed();
  }

  /**
   * Goes back to the pictures before one that cannot be read, or that the model has no place for.
   */
  private async refuse(picture: Picture, problem: EngineError): Promise<void> {
    if (!this.pictures.includes(picture)) return;
    log(`error ${problem.code}: ${problem.message}`);
    const { blob, name } = picture;
    // A question that waits was about this picture as well.
    this.release(false);
    notices.noUndo();
    if (this.pictures.length === 1) this.goBack(picture);
    else {
      this.remove(picture);
      URL.revokeObjectURL(picture.url);
    }
    await this.catchUp();
    notices.show(
      problem.code === "image-unreadable"
        ? trouble.unreadable(problem, name, this.pictures.length)
        : trouble.noSecond(problem, () => this.attach(blob, name)),
    );
  }

  /** So that estimates count what was said, not what was compared. */
  protected async tellEngine(): Promise<void> {
    if (this.fresh || !this.engine || !this.hasLooked(this.engine)) return;
    await this.engine
      .resume(this.told(this.turns))
      .catch(error => log(`resume: ${(error as Error).message}`));
  }

  /** Looks at pictures that came while something else was under way; then the page is ready. */
  protected async catchUp(): Promise<void> {
    if (this.engine && this.picture && !this.hasLooked(this.engine)) await this.encode();
    else enter("ready");
  }

  private async encode(): Promise<void> {
    const { engine, pictures } = this;
    if (!engine || pictures.length === 0) return;
    const work = (this.work = this.reading = new AbortController());
    this.fresh = undefined;
    enter("encoding");
    steps.begin("encoding");
    try {
      await this.look(engine, pictures, work.signal);
      await engine.resume(this.told(this.turns));
      if (this.work !== work) return;
      enter("ready");
      this.changed();
      if (this.picture?.view?.readingsDiffer) notices.remark(words.readings);
      this.release(true);
    } catch (error) {
      const problem = EngineError.from(error);
      // The first that the engine has not looked at is the one it stumbled over.
      const looked = this.looked?.engine === engine ? this.looked.pictures : [];
      const culprit = pictures.find(picture => !looked.includes(picture));
      const unreadable = problem.code === "image-unreadable";
      if (unreadable && culprit && (await this.redraw(culprit))) return this.encode();
      if (this.work !== work) return;
      const isAdded = problem.code === "invalid-setting" && looked.length > 0;
      if (!culprit || !(unreadable || isAdded)) {
        this.release(false);
        return failed(problem);
      }
      return this.refuse(culprit, problem);
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
    const { engine } = this;
    if (!engine || !this.picture || !this.hasLooked(engine) || !isOpen() || this.turns.length > 0)
      return;
    this.preparing?.abort();
    const preparing = (this.preparing = new AbortController());
    const select = selected();
    try {
      const m =
        tokens.wanted() ??
        (await engine.estimate(undefined, "", { targetMs: settings.sampling().targetMs, select }))
          .imageTokens;
      await engine.prepare(m, { signal: preparing.signal, select });
      await tokens.refresh();
    } catch (error) {
      // Stopped, or the next question will meet the same failure and say so.
      log(`prepare: ${(error as Error).message}`);
    }
  }
}
