// The page's one thread of action: a model is loaded, a picture is shown to it, questions are
// asked. Everything on screen that can be pressed ends up here or in loader.ts; what is shown is in
// the other files.

import {
  type Answer,
  type Answering,
  type Engine,
  EngineError,
  type Keep,
  type Turn,
  type View,
  shown,
} from "mqt-web";
import * as conversation from "./conversation";
import { log } from "./dom";
import { failed } from "./failures";
import { type Loadable, Loader } from "./loader";
import * as notices from "./notices";
import { type Sampling, settings } from "./settings";
import { enter, isBusy, isOpen, state } from "./state";
import * as steps from "./steps";
import * as tokens from "./tokens";
import * as trouble from "./trouble";

export { type Loadable, bundled } from "./loader";

export interface Picture {
  blob: Blob;
  name: string;
  /** An address for `img`. */
  url: string;
  view?: View;
  /** The browser decoded it, because the engine cannot. */
  redrawn?: boolean;
  /** What was there before, until the engine has read this one. */
  before?: Before;
}

/** A picture and the conversation about it, to go back to. */
interface Before {
  picture: Picture | undefined;
  turns: Turn[];
  /** Puts the cards back as they were. */
  restore: () => void;
}

/** Pictures above this are refused before they fill the memory. */
export const MOST_PICTURE_BYTES = 200_000_000;

class App extends Loader {
  picture: Picture | undefined;
  /** The conversation about the picture: this one holds, every question takes it along. */
  turns: Turn[] = [];
  /**
   * Another object with every new conversation: what an earlier one still answers belongs to none.
   */
  private talk = {};
  /**
   * The conversation that began when a model was set aside: if it is still this one, the one before
   * comes back with that model.
   */
  private talkAside: object | undefined;
  /** Which engine looked at which picture last. */
  private looked: { engine: Engine; picture: Picture } | undefined;
  /** Of every answer, for the report: the picture by its hash, and what was set then. */
  records: { answer: Answer; picture: string; settings: Sampling }[] = [];
  private work: AbortController | undefined;
  private preparing: AbortController | undefined;
  /** A question that waits for the model: lets it go on, or drops it. */
  private waiting: ((go: boolean) => void) | undefined;

  protected override async begin(isOver: () => boolean): Promise<void> {
    if (settings.sampling().system)
      await this.instruct().catch(error => notices.remark(EngineError.from(error).message));
    if (isOver()) return;
    // After a rebuild that is the picture and all that was said about it.
    if (this.picture) await this.encode();
    else enter("ready");
    if (!isOver()) this.release(true);
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
  async switchTo(change: {
    model?: Loadable;
    adapter?: string;
    context?: number;
    refresh?: boolean;
    keep?: Keep;
  }): Promise<void> {
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
    if (blob.size > MOST_PICTURE_BYTES)
      return notices.remark(
        `${shown(name, 100)} is too large for a picture; the one before is kept.`,
      );
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
  private forget(): void {
    this.turns = [];
    this.talk = {};
    this.release(false);
  }

  private hasLooked(engine: Engine, picture: Picture): boolean {
    return this.looked?.engine === engine && this.looked.picture === picture;
  }

  /** Puts the picture before the engine, if it is not there. */
  private async look(engine: Engine, picture: Picture, signal: AbortSignal): Promise<void> {
    if (this.hasLooked(engine, picture)) return;
    picture.view = await engine.look(picture.blob, { signal, onStep: steps.show });
    this.looked = { engine, picture };
    // It can be read: those before it are not needed any more.
    for (let before = picture.before?.picture; before; before = before.before?.picture)
      URL.revokeObjectURL(before.url);
    picture.before = undefined;
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
      if (picture.view?.readingsDiffer)
        notices.remark(
          "The file is rotated, transparent or has 16 bits: the model sees it as you do.",
        );
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
      picture.name += " (decoded by the browser)";
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

  /**
   * Stops what is under way; the text so far is kept. A question that waits is not asked any more.
   */
  stop(): void {
    this.release(false);
    if (this.probing) {
      this.abandon();
      enter("first-visit");
      void notices.welcome();
    } else if (this.loading) this.cancelDownload();
    else this.work?.abort();
  }

  /**
   * Asks the model after the turns `how` names, streaming into `show`; what it throws was already
   * dealt with.
   */
  private async run(
    question: string,
    how: { turns: Turn[]; tokens?: number; soFar?: number[] },
    show: (answering: Answering) => Promise<void>,
  ): Promise<Answer | undefined> {
    const { picture, talk } = this;
    if (!picture) return undefined;
    if (!this.engine) {
      this.release(false); // one waits at a time
      const loaded = new Promise<boolean>(loaded => (this.waiting = loaded));
      this.changed();
      void this.start();
      const goesOn = await loaded;
      this.changed();
      if (!goesOn || talk !== this.talk)
        throw new EngineError("cancelled", "the question was dropped while it waited");
    }
    const engine = this.engine;
    if (!engine) throw new EngineError("cancelled", "there is no model");
    this.preparing?.abort();
    const work = (this.work = new AbortController());
    const first = this.hasLooked(engine, picture) ? "prefilling" : "encoding";
    enter(first === "encoding" ? "encoding" : "answering");
    steps.begin(first);
    try {
      await this.look(engine, picture, work.signal);
      await engine.resume(how.turns);
      if (talk !== this.talk || this.work !== work)
        throw new EngineError("cancelled", "something else began meanwhile");
      enter("answering");
      // `instruct` has told the engine of the first
      const { system, ...sampling } = settings.sampling();
      const { tokens: m, soFar } = how;
      const answering = engine.ask({
        question,
        tokens: m,
        soFar,
        signal: work.signal,
        onStep: steps.show,
        ...sampling,
      });
      await show(answering);
      const answer = await answering.answer;
      const seen = picture.view?.hash ?? "";
      this.records.push({ answer, picture: seen, settings: settings.sampling() });
      tokens.measured(answer.imageTokens, answer.timingsMs.firstToken);
      return answer;
    } catch (error) {
      if (this.work === work) failed(EngineError.from(error), question);
      throw error;
    } finally {
      this.changed();
    }
  }

  private settle(answer: Answer): void {
    if (answer.finishReason === "context") {
      enter("context-full");
      notices.show(
        trouble.contextFull(
          answer.promptTokens + answer.completionTokens,
          this.engine?.model.context ?? 0,
        ),
      );
    } else {
      enter(answer.finishReason === "cancelled" ? "stopped" : "ready");
    }
  }

  /** A new question. */
  async ask(question: string): Promise<void> {
    if (this.engine) notices.clear(); // a load's card has the only way on
    await this.answer(conversation.newAnswer(question, this.picture!, [...this.turns]), {
      tokens: tokens.wanted(),
    });
  }

  /** The last question again: with other image tokens, or going on from where it was stopped. */
  async again(card: conversation.Card, how: { tokens?: number; soFar?: number[] }): Promise<void> {
    const before = this.turns.at(-1);
    if (!this.engine || !before || isBusy()) return;
    notices.clear();
    await this.answer(conversation.newAnswer(card.question, this.picture!, card.turns, card), {
      tokens: how.tokens ?? before.imageTokens,
      soFar: how.soFar,
    });
  }

  /** Answers a card; if nothing new began meanwhile, that is the conversation's last turn then. */
  private async answer(
    card: conversation.Card,
    how: { tokens?: number; soFar?: number[] },
  ): Promise<void> {
    const { question, turns } = card;
    const { talk } = this;
    const answer = await this.run(question, { turns, ...how }, answering =>
      card.stream(answering),
    ).catch(error => void card.fail(error));
    if (!answer) return;
    const goesOn = talk === this.talk;
    if (goesOn) this.turns = [...turns, answer];
    card.finish(answer);
    if (goesOn) this.settle(answer);
    this.changed();
  }

  /**
   * One question with several m, small to large, after `turns`; none of it becomes part of the
   * conversation.
   */
  async compare(question: string, several: number[], turns = this.turns): Promise<void> {
    const columns = conversation.newComparison(question, several, this.picture!, turns);
    const { talk } = this;
    if (this.engine) notices.clear(); // a load's card has the only way on
    let answer: Answer | undefined;
    for (const [i, m] of several.entries()) {
      const column = columns[i]!;
      answer = await this.run(question, { tokens: m, turns }, answering =>
        column.stream(answering),
      ).catch(error => void column.fail(error));
      if (answer) column.finish(answer);
      if (answer && answer.finishReason !== "cancelled" && talk === this.talk) continue;
      for (const left of columns.slice(i + 1)) left.skip();
      break;
    }
    if (talk !== this.talk) return;
    // So that estimates count what was said, not what was compared.
    await this.engine
      ?.resume(this.turns)
      .catch(error => log(`compare: ${(error as Error).message}`));
    if (answer?.finishReason === "cancelled") this.settle(answer);
    else if (answer) {
      conversation.plot(columns);
      enter("ready");
    }
    this.changed();
  }

  async startAnew(): Promise<void> {
    if (state() === "answering") {
      this.work?.abort();
      this.work = undefined;
    }
    this.forget();
    conversation.clear();
    const { talk } = this;
    // An engine that goes away just now has nothing to forget.
    await this.engine?.startAnew().catch(error => log(`start anew: ${(error as Error).message}`));
    if (talk !== this.talk) return;
    if (this.engine) notices.clear(); // a load's card has the only way on
    if (this.engine) enter("ready");
    this.changed();
  }
}

export const app = new App();
