import type { CDPSession, Page, Protocol } from 'puppeteer-core';
import { untilAborted } from '../../async.js';
import { ToolError } from '../../errors/errors.js';
import {
  followSessions,
  openCdpSession,
  unlessGone,
  type FollowedSessions,
  type TargetSession,
} from '../cdp/cdpSessions.js';
import { joinedRanges, type UsedRanges } from '../sources/coveredLines.js';

/** The parts of a script that ran. */
export interface ScriptCoverage {
  readonly scriptId: string;
  readonly url: string;
  readonly used: UsedRanges;
}

/** The parts of a style sheet that were applied. */
export interface SheetCoverage {
  readonly header: Protocol.CSS.CSSStyleSheetHeader;
  readonly text: string;
  readonly used: UsedRanges;
}

export interface RecordedCoverage {
  readonly scripts: readonly ScriptCoverage[];
  readonly sheets: readonly SheetCoverage[];
}

interface Recording {
  /** On the page's own sessions, which a new worker waits for. */
  readonly code: FollowedSessions;
  /** On sessions of its own, to which all style sheets are reported. */
  readonly styles: FollowedSessions;
  readonly root: CDPSession;
  readonly sheets: Map<string, { readonly session: CDPSession; readonly header: Protocol.CSS.CSSStyleSheetHeader }>;
}

/** Style sheets that are read. */
const maxSheets = 500;

/**
 * Records which code and which style rules of a page are used, with its frames and workers (CDP domains Profiler and CSS).
 * Owned by its page, which disposes it.
 */
export class PageCoverage {
  readonly #page: Page;
  readonly #cdp: CDPSession;
  readonly #sessions: () => readonly TargetSession[];
  #recording: Recording | undefined;

  /** `sessions`: those of the page that are open. */
  constructor(page: Page, cdp: CDPSession, sessions: () => readonly TargetSession[]) {
    this.#page = page;
    this.#cdp = cdp;
    this.#sessions = sessions;
  }

  /** Starts again if it is already recording. */
  get isRunning(): boolean {
    return this.#recording !== undefined;
  }

  async start(signal: AbortSignal): Promise<void> {
    await this.dispose();
    const root = await untilAborted(openCdpSession(this.#page), signal, (late) => void unlessGone(late.detach()));
    const sheets: Recording['sheets'] = new Map();
    const code = followSessions(
      this.#cdp,
      {
        handlers: () => ({}),
        enable: ({ session }) => [
          unlessGone(session.send('Profiler.enable')),
          unlessGone(session.send('Profiler.startPreciseCoverage', { callCount: false, detailed: true })),
        ],
      },
      undefined,
      this.#sessions(),
    );
    const styles = followSessions(root, {
      handlers: ({ session }) => ({
        'CSS.styleSheetAdded': ({ header }) => {
          if (sheets.size < maxSheets) sheets.set(`${session.id()} ${header.styleSheetId}`, { session, header });
        },
      }),
      enable: ({ session, kind }) =>
        kind === 'worker'
          ? []
          : [
              unlessGone(session.send('DOM.enable')),
              unlessGone(session.send('CSS.enable')),
              unlessGone(session.send('CSS.startRuleUsageTracking')),
            ],
    });
    this.#recording = { code, styles, root, sheets };
    await untilAborted(Promise.all([code.ready, styles.ready]), signal);
  }

  /** Throws a ToolError if nothing is being recorded. */
  async stop(signal: AbortSignal): Promise<RecordedCoverage> {
    const recording = this.#recording;
    if (recording === undefined || recording.root.detached) {
      throw new ToolError('No coverage is being recorded on this page. Call start_coverage first.');
    }
    try {
      const sessions = recording.code.sessions();
      const scripts = await untilAborted(Promise.all(sessions.map(({ session }) => takeScripts(session))), signal);
      const sheets = await untilAborted(takeSheets(recording), signal);
      return { scripts: scripts.flat(), sheets };
    } finally {
      void this.dispose();
    }
  }

  /** Ends a recording. Idempotent; never rejects. */
  async dispose(): Promise<void> {
    const recording = this.#recording;
    this.#recording = undefined;
    if (recording === undefined) return;
    const { code, styles, root } = recording;
    // Not awaited: a hung page would not answer.
    for (const { session } of code.sessions()) void unlessGone(session.send('Profiler.disable'));
    code.stop();
    styles.stop();
    if (!root.detached) await unlessGone(root.detach());
  }
}

async function takeScripts(session: CDPSession): Promise<ScriptCoverage[]> {
  const taken = await unlessGone(session.send('Profiler.takePreciseCoverage'));
  return (taken?.result ?? []).map(({ scriptId, url, functions }) => ({
    ...{ scriptId, url },
    used: usedRanges(functions.flatMap(({ ranges }) => ranges)),
  }));
}

/** Ranges are nested; the innermost one counts. */
function usedRanges(ranges: readonly Protocol.Profiler.CoverageRange[]): UsedRanges {
  const ends = ranges.flatMap((range) => [
    { at: range.startOffset, isStart: true, range },
    { at: range.endOffset, isStart: false, range },
  ]);
  const lengthOf = ({ startOffset, endOffset }: Protocol.Profiler.CoverageRange): number => endOffset - startOffset;
  ends.sort((a, b) => {
    if (a.at !== b.at) return a.at - b.at;
    if (a.isStart !== b.isStart) return a.isStart ? 1 : -1;
    return a.isStart ? lengthOf(b.range) - lengthOf(a.range) : lengthOf(a.range) - lengthOf(b.range);
  });
  const open: Protocol.Profiler.CoverageRange[] = [];
  const used: [number, number][] = [];
  let from = 0;
  for (const { at, isStart, range } of ends) {
    if ((open.at(-1)?.count ?? 0) > 0 && at > from) used.push([from, at]);
    from = at;
    if (isStart) open.push(range);
    else open.pop();
  }
  return joinedRanges(used);
}

async function takeSheets({ styles, sheets }: Recording): Promise<SheetCoverage[]> {
  const pages = styles.sessions().filter(({ kind }) => kind !== 'worker');
  const used = new Map<string, [number, number][]>();
  for (const { session } of pages) {
    const usage = await unlessGone(session.send('CSS.stopRuleUsageTracking'));
    for (const { styleSheetId, startOffset, endOffset, used: isUsed } of usage?.ruleUsage ?? []) {
      const key = `${session.id()} ${styleSheetId}`;
      if (!isUsed) continue;
      const ranges = used.get(key) ?? [];
      ranges.push([startOffset, endOffset]);
      used.set(key, ranges);
    }
  }
  const read = [...sheets].map(async ([key, { session, header }]): Promise<SheetCoverage[]> => {
    const { styleSheetId } = header;
    const answer = await unlessGone(session.send('CSS.getStyleSheetText', { styleSheetId }));
    return answer === undefined ? [] : [{ header, text: answer.text, used: joinedRanges(used.get(key) ?? []) }];
  });
  return (await Promise.all(read)).flat();
}
