import { z } from 'zod';
import type { Clock } from '../clock.js';
import { parsedJson } from '../text.js';

const dayMs = 864e5;

const dayOf = (now: number): number => Math.floor(now / dayMs);

/** The time in which a session had a browser, today. */
export class BrowserTime {
  readonly #clock: Pick<Clock, 'now' | 'elapsed'>;
  #day = 0;
  #ms = 0;
  /** By `elapsed` of the clock: the time of a machine that jumps is nobody's use. */
  #since: number | undefined;

  constructor(clock: Pick<Clock, 'now' | 'elapsed'>) {
    this.#clock = clock;
  }

  /** Idempotent. */
  start(): void {
    this.#since ??= this.#clock.elapsed();
  }

  stop(): void {
    this.#ms = this.today();
    this.#since = undefined;
  }

  /** Forgets what was before: nobody used it. */
  restart(): void {
    if (this.#since !== undefined) this.#since = this.#clock.elapsed();
    this.#ms = 0;
  }

  today(): number {
    const [now, elapsed] = [this.#clock.now(), this.#clock.elapsed()];
    const day = dayOf(now);
    if (day !== this.#day) {
      this.#day = day;
      this.#ms = 0;
    }
    if (this.#since === undefined) return this.#ms;
    const beganAt = Math.max(this.#since, elapsed - (now - day * dayMs));
    [this.#ms, this.#since] = [this.#ms + elapsed - beganAt, elapsed];
    return this.#ms;
  }
}

/** A text that outlives the process: in a file, or in what the nodes share. */
export interface KeptText {
  read(): Promise<string | null>;
  /** Kept for a day at least. */
  write(text: string): Promise<void>;
}

const spentSchema = z.object({ day: z.number(), spent: z.array(z.tuple([z.string(), z.number()])) });

/** The browser time of today (UTC) of sessions that have ended, by user: those before a restart too. */
export class SpentTime {
  readonly #kept: KeptText | undefined;
  #day = 0;
  readonly #spent = new Map<string, number>();
  #restored: Promise<void> | undefined;
  #written = '';
  #writing: Promise<void> = Promise.resolve();

  constructor(kept: KeptText | undefined) {
    this.#kept = kept;
  }

  /** Resolves when the time before a restart is counted. What cannot be read counts as nothing. */
  restored(now: number): Promise<void> {
    return (this.#restored ??= this.#restore(now));
  }

  today(key: string, now: number): number {
    this.#begin(now);
    return this.#spent.get(key) ?? 0;
  }

  add(key: string, ms: number, now: number): void {
    if (ms > 0) this.#spent.set(key, this.today(key, now) + ms);
  }

  /** Writes down what was spent, with what sessions that are open have spent so far. */
  keep(open: Iterable<readonly [key: string, ms: number]>, now: number): Promise<void> {
    const { day, sums } = { day: dayOf(now), sums: new Map<string, number>() };
    this.#begin(now);
    for (const [key, ms] of [...this.#spent, ...open]) sums.set(key, (sums.get(key) ?? 0) + ms);
    const text = JSON.stringify({ day, spent: [...sums].filter(([, ms]) => ms > 0) });
    if (this.#kept === undefined || text === this.#written || sums.size === 0) return this.#writing;
    this.#written = text;
    const write = (): Promise<void> | undefined => this.#kept?.write(text);
    this.#writing = this.#writing.then(write, write);
    return this.#writing;
  }

  #begin(now: number): void {
    if (dayOf(now) === this.#day) return;
    this.#day = dayOf(now);
    this.#spent.clear();
  }

  async #restore(now: number): Promise<void> {
    const text = (await this.#kept?.read().catch(() => null)) ?? null;
    const { data } = spentSchema.safeParse(parsedJson(text ?? ''));
    if (data?.day !== dayOf(now)) return;
    for (const [key, ms] of data.spent) this.add(key, ms, now);
  }
}
