// The pictures in hand and the conversation about them: what was asked, begun anew, put back. What
// the engine does with them is in viewer.ts.

import type { Answer, Engine, Turn } from "mqt-web";
import type { Picture } from "./actions";
import * as conversation from "./conversation";
import { log, reveal } from "./dom";
import * as history from "./history";
import type { Kept } from "./history";
import { Loader } from "./loader";
import * as notices from "./notices";
import { enter, isBusy, state } from "./state";
import * as tokens from "./tokens";
import { picture as words } from "./words";

export abstract class Talk extends Loader {
  /** The one in the frame. */
  picture: Picture | undefined;
  /** All that the conversation is about, in the order of the prompt. */
  pictures: Picture[] = [];
  /** More pictures, where this conversation is about one of them. */
  protected others: Picture[] = [];
  /** The conversation about them: this one holds, every question takes it along. */
  turns: Turn[] = [];
  /**
   * Another object with every new conversation: what an earlier one still answers belongs to none.
   */
  protected talk = {};
  /** The engine that gave the last answer, as long as it was put to nothing else. */
  protected fresh: { engine: Engine; answer: Answer } | undefined;
  protected work: AbortController | undefined;
  /** A question that waits for the model or its picture: lets it go on, or drops it. */
  protected waiting: ((go: boolean) => void) | undefined;

  /** Looks at pictures that came while something else was under way; then the page is ready. */
  protected abstract catchUp(): Promise<void>;
  protected abstract tellEngine(): Promise<void>;

  /** Which model's words the conversation is in that was kept over a reload. */
  private restoredOf: string | undefined;

  /** Puts back what was there before a reload: the last conversation goes on. */
  restore(conversations: Kept[]): void {
    const urls = new Map<Blob, string>();
    for (const [i, kept] of conversations.entries()) {
      const put = ({ blob, name, turn }: Kept["pictures"][number]): Picture => {
        const url = urls.get(blob) ?? URL.createObjectURL(blob);
        urls.set(blob, url);
        return { blob, name, turn, url };
      };
      const all = kept.pictures.map(put);
      if (i > 0) conversation.begin(this.pictures, this.turns);
      this.pictures = all.filter((_, i) => !kept.pictures[i]!.gone);
      this.others = kept.others.map(put);
      [this.picture, this.turns] = [this.pictures.at(-1), kept.answers];
      const [first] = [kept.answers, ...kept.comparisons.map(({ answers }) => answers)].flat();
      this.restoredOf = first?.model.sha256 ?? "";
      conversation.restore(all, kept);
    }
    tokens.goOn(conversations.at(-1)?.m);
    this.changed();
  }

  /** Keeps what was said over a reload. */
  protected save(): void {
    if (conversation.isSaid(this.turns))
      void history.keep(conversation.kept(this.pictures, this.turns as Answer[], this.others));
  }

  get album(): Picture[] {
    return this.others.length > 0 ? this.others : this.pictures;
  }

  /** Pictures that stood before a question which followed so many turns. */
  protected upTo(turns: number): Picture[] {
    return this.pictures.filter(({ turn }) => turn <= turns);
  }

  /** Turns as the engine wants them: each with how many pictures came with it. */
  protected told(turns: Turn[]): Turn[] {
    return turns.map(({ question, tokenIds, imageTokens }, i) => ({
      question,
      tokenIds,
      imageTokens,
      newImages: this.pictures.filter(({ turn }) => turn === i).length,
    }));
  }

  /** No turn is left: all pictures stand before the first one. */
  protected untell(): void {
    this.turns = [];
    for (const picture of this.pictures) picture.turn = 0;
  }

  /** Another model cannot go on with it: the answers stay to be read. */
  protected checkRestored(): void {
    const [of, { sha256 }] = [this.restoredOf, this.engine!.model];
    this.restoredOf = undefined;
    if (of === undefined || of === sha256 || conversation.isEmpty()) return;
    const { picture, pictures, turns } = this;
    this.turns = [];
    this.talk = {};
    // Others to the answers above: what this model would make of them was never said.
    this.pictures = pictures.map(one => ({ ...one, turn: 0 }));
    this.picture = this.pictures[picture ? pictures.indexOf(picture) : 0];
    conversation.begin(pictures, turns);
    conversation.place(this.pictures);
  }

  /** Whether a question waits for the model or its picture already. */
  get isWaiting(): boolean {
    return this.waiting !== undefined;
  }

  /** Lets a question go on that waited for the model or its picture; or drops it. */
  release(go: boolean): void {
    this.waiting?.(go);
    this.waiting = undefined;
  }

  /** Nobody goes back to what was there before these pictures came. */
  protected letGo(pictures: Picture[]): void {
    for (const picture of pictures) {
      for (let { before } = picture; before; before = before.pictures[0]?.before)
        for (const { url } of [...before.pictures, ...before.others]) URL.revokeObjectURL(url);
      picture.before = undefined;
    }
  }

  /** Begins another conversation; a question that waits belongs to the one before. */
  protected forget(): void {
    this.turns = [];
    this.talk = {};
    this.release(false);
  }

  async about(wanted: Picture[]): Promise<void> {
    const { picture: framed, pictures, others, turns } = this;
    if (isBusy()) return;
    const all = this.album;
    this.forget();
    // The engine has kept what it made of them.
    this.pictures = wanted.map(one => ({ ...one, view: undefined, before: undefined, turn: 0 }));
    this.others = wanted.length < all.length ? all : [];
    this.picture = this.pictures.at(-1);
    const restore = conversation.begin(pictures, turns);
    conversation.place(this.pictures);
    const { talk } = this;
    notices.remark("");
    const n = wanted.length < all.length ? all.indexOf(wanted[0]!) + 1 : 0;
    notices.offerUndo(n > 0 ? words.onlyNow(n) : words.allNow(all.length), () => {
      // Too late once something else was begun.
      if (talk !== this.talk || this.turns.length > 0) return;
      [this.picture, this.pictures, this.turns] = [framed, pictures, turns];
      [this.others, this.talk] = [others, {}];
      restore();
      this.changed();
      void this.catchUp();
    });
    this.changed();
    if (this.engine) await this.catchUp();
  }

  async startAnew(forGood = false): Promise<void> {
    notices.noUndo();
    if (state() === "answering" || state() === "mapping") {
      this.work?.abort();
      this.work = undefined;
    }
    this.fresh = undefined;
    const { pictures, turns } = this;
    const stood = pictures.map(({ turn }) => turn);
    this.forget();
    this.untell();
    if (forGood) this.others = [];
    const wasEmpty = conversation.isEmpty();
    const putBack = conversation.clear();
    conversation.place(this.pictures);
    void history.clear();
    const { talk } = this;
    const undo = () => {
      // Too late once something else was begun.
      if (talk !== this.talk || this.turns.length > 0) return;
      if (pictures !== this.pictures) return;
      for (const [i, picture] of pictures.entries()) picture.turn = stood[i]!;
      this.turns = turns;
      putBack();
      const last = conversation.latest();
      if (last) reveal(last.element);
      this.save();
      void this.tellEngine().then(() => this.changed());
    };
    if (!wasEmpty && !forGood) notices.offerUndo(words.anew, undo);
    // An engine that goes away just now has nothing to forget.
    await this.engine?.startAnew().catch(error => log(`start anew: ${(error as Error).message}`));
    if (talk !== this.talk) return;
    if (this.engine) notices.clear(); // a load's card has the only way on
    if (this.engine) enter("ready");
    this.changed();
  }
}
