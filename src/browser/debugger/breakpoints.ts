import type { KeptPart } from '../collectors/ringBuffer.js';
import { ToolError } from '../../errors/errors.js';

/** What stops the code, or makes a logpoint log. Lines and columns count from 1. */
export type Trigger =
  | { readonly on: 'line'; readonly file: string; readonly line: number; readonly column: number | undefined }
  | { readonly on: 'exception'; readonly which: 'uncaught' | 'all' }
  | {
      readonly on: 'dom';
      readonly uid: string;
      readonly change: DomChange;
      /** CDP target id of the frame's document, and its node there. */
      readonly targetId: string;
      readonly backendNodeId: number;
    }
  /** A DOM event by name, such as `click`. */
  | { readonly on: 'event'; readonly name: string }
  /** A part of the URL of a request by script. */
  | { readonly on: 'request'; readonly url: string };

export const domChanges = ['subtree', 'attribute', 'removal'] as const;
export type DomChange = (typeof domChanges)[number];

export interface BreakpointOptions {
  readonly trigger: Trigger;
  /** JavaScript; it stops, or logs, only where this is truthy. */
  readonly condition: string | undefined;
  /** What a logpoint logs; undefined: a breakpoint, which pauses. */
  readonly log: string | undefined;
  /** How long a pause may last without a call about it. */
  readonly pauseMs: number;
  /** The page that it is limited to, with its frames and workers. Undefined: everywhere in the session. */
  readonly pageId: number | undefined;
}

export interface Breakpoint extends BreakpointOptions {
  /** Never reused in a session. */
  readonly id: number;
  /** How often it paused. Logpoints are not counted: the console has what they logged. */
  pauses: number;
}

const maxBreakpoints = 100;

/** The breakpoints of a session. They outlive its browser, and go with the session. */
export class BreakpointList {
  #lastId = 0;
  readonly #breakpoints = new Map<number, Breakpoint>();
  readonly #kept: KeptPart | undefined;

  constructor(kept?: KeptPart) {
    this.#kept = kept;
    kept?.held.add(this);
  }

  get bytes(): number {
    return this.list().reduce((sum, breakpoint) => sum + bytesOf(breakpoint), 0);
  }

  /** Oldest first. */
  list(): readonly Breakpoint[] {
    return [...this.#breakpoints.values()];
  }

  /** Throws a ToolError at the bound, and for a second breakpoint at one place. */
  add(options: BreakpointOptions): Breakpoint {
    const same = this.list().find((each) => each.pageId === options.pageId && isSame(each.trigger, options.trigger));
    if (same !== undefined) {
      throw new ToolError(`Breakpoint ${same.id} is there already. To change it, call remove_breakpoint first.`);
    }
    if (this.#breakpoints.size >= maxBreakpoints) {
      throw new ToolError(`A session may have ${maxBreakpoints} breakpoints. remove_breakpoint makes room.`);
    }
    this.#kept?.checkRoom(bytesOf(options));
    const breakpoint = { ...options, id: (this.#lastId += 1), pauses: 0 };
    this.#breakpoints.set(breakpoint.id, breakpoint);
    return breakpoint;
  }

  /** Throws a ToolError that lists what exists. */
  remove(id: number): Breakpoint {
    const breakpoint = this.#breakpoints.get(id);
    if (breakpoint === undefined) {
      const ids = [...this.#breakpoints.keys()];
      const others = ids.length === 0 ? 'There are none' : `There are: ${ids.join(', ')}`;
      throw new ToolError(`There is no breakpoint ${id}. ${others}; see list_breakpoints.`);
    }
    this.#breakpoints.delete(id);
    return breakpoint;
  }
}

const bytesOf = (breakpoint: BreakpointOptions): number => 2 * JSON.stringify(breakpoint).length;

function isSame(one: Trigger, other: Trigger): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** `src/cart.ts:12`, `uncaught exception`, … */
export function describeTrigger(trigger: Trigger): string {
  switch (trigger.on) {
    case 'line':
      return [trigger.file, trigger.line, trigger.column].filter((part) => part !== undefined).join(':');
    case 'exception':
      return trigger.which === 'all' ? 'every exception' : 'uncaught exceptions';
    case 'dom':
      return `${trigger.change} of element ${trigger.uid}`;
    case 'event':
      return `event ${trigger.name}`;
    case 'request':
      return trigger.url === '' ? 'every request' : `requests with ${JSON.stringify(trigger.url)}`;
  }
}

/** Whether a script is Chrome's own, in whose pages no code of a client may run. */
export const isBrowserScript = (url: string): boolean => /^(?:chrome|chrome-untrusted|devtools):/.test(url);

/** Whether it is code of the server or of its driver, which a step or an exception does not stop in. */
export const isOwnCode = (url: string): boolean =>
  /^(?:|pptr:.*|evaluate_script|greenroom\.js|greenroom:.*)$/.test(url);

/** A regular expression (JavaScript) for the addresses that `file` names: a whole one, or the end of a path. */
export function addressPattern(file: string): string {
  const hasScheme = /^[a-z][\w+.-]*:/i.test(file);
  const rest = /[?#]/.test(file) ? '' : '(?:[?#].*)?';
  const notOfChrome = '(?!chrome:|chrome-untrusted:|devtools:)';
  return `^${notOfChrome}${hasScheme ? '' : '(?:.*/)?'}${pathPattern(file)}${rest}$`;
}

/** The same for a name alone; `*` is any part. */
export const pathPattern = (file: string): string =>
  file
    .replace(/^(?:\.?\/)+/, '')
    .split(/\*+/)
    .map(escapeRegex)
    .join('.*');

/** A regular expression (JavaScript) for exactly this text. */
export const escapeRegex = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

/** Why there is no such pause, and how to come to one. */
export function describeNoPause(
  id: number | undefined,
  paused: readonly number[],
  session: {
    readonly breakpoints: readonly Breakpoint[];
    /** How often its expressions threw, and what. */
    failureOf(breakpoint: Breakpoint): string | undefined;
  },
): string {
  if (paused.length > 0) return `There is no pause ${id} now. Paused: ${paused.join(', ')}.`;
  const pausing = session.breakpoints.filter(({ log }) => log === undefined);
  if (pausing.length === 0) return 'Nothing is paused, and no breakpoint is set: call set_breakpoint.';
  const names = pausing.map((each) => `${each.id} ${describeTrigger(each.trigger)}`);
  const failed = pausing.flatMap((each) => {
    const failure = session.failureOf(each);
    return failure === undefined ? [] : [`The condition of ${each.id} threw ${failure}.`];
  });
  const what = failed.length === 0 ? 'Act so that this code runs.' : `${failed.join(' ')} Set it anew with another.`;
  return `Nothing is paused. Set: ${names.join(', ')}. ${what}`;
}
