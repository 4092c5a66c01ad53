import type { ActivityReport } from './extensionContract.js';
import { findBinding, toJson } from './values.js';
import { shortenText } from '../../text.js';

const maxChars = 4_000;
const maxPending = 500;
/** For one context: more would block the browser's connection. */
const maxPerSecond = 1_000;

type Details = Pick<ActivityReport, 'value' | 'error' | 'sender' | 'outcome' | 'place' | 'target'>;

/** Reports the end of a call or message. */
export type ReportEnd = (details: Details) => void;

/** Sends reports through a binding. Until `flush` finds one, the newest 500 wait. */
export class Reporter {
  readonly #bindingName: string;
  readonly #pending: string[] = [];
  #lastId = 0;
  #second = 0;
  #sent = 0;
  #leftOut = 0;

  constructor(bindingName: string) {
    this.#bindingName = bindingName;
  }

  begin(kind: ActivityReport['kind'], api: string, details: Details): ReportEnd {
    const id = (this.#lastId += 1);
    this.#send({ id, phase: 'begin', kind, api, ...details });
    return (outcome) => this.#send({ id, phase: 'end', kind, api, ...outcome });
  }

  /** Reports what begins and ends at once. */
  note(kind: ActivityReport['kind'], api: string, details: Details): void {
    this.begin(kind, api, details)({});
  }

  flush(): void {
    const binding = findBinding(this.#bindingName);
    if (binding !== undefined) for (const text of this.#pending.splice(0)) binding(text);
  }

  /** The reports that wait, which then wait no longer. */
  take(): string[] {
    return this.#pending.splice(0);
  }

  #send(report: Omit<ActivityReport, 'at'>): void {
    const at = Date.now();
    if (at - this.#second >= 1_000) this.#beginSecond(at, report.kind);
    this.#sent += 1;
    if (this.#sent > maxPerSecond) {
      this.#leftOut += 1;
      return;
    }
    const text = JSON.stringify({ ...report, at } satisfies ActivityReport);
    const binding = findBinding(this.#bindingName);
    if (binding !== undefined) binding(text);
    else if (this.#pending.push(text) > maxPending) this.#pending.shift();
  }

  #beginSecond(at: number, kind: ActivityReport['kind']): void {
    const leftOut = this.#leftOut;
    this.#second = at;
    this.#sent = 0;
    this.#leftOut = 0;
    if (leftOut > 0) this.note(kind, 'left out', { value: `${leftOut} reports beyond ${maxPerSecond} of one second` });
  }
}

/** JSON where possible, capped. */
export function print(value: unknown): string {
  return shortenText(toText(value), maxChars);
}

export const printAll = (values: readonly unknown[]): string => values.map((value) => print(value)).join(', ');

function toText(value: unknown): string {
  try {
    return toJson(value) ?? String(value);
  } catch (error) {
    return String(error);
  }
}
