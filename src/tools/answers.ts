import { STATUS_CODES } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import {
  bringForward,
  heldReason,
  performAction,
  type ActionOutcome,
  type SettleOptions,
} from '../browser/page/performAction.js';
import type { DocumentResponse } from '../browser/page/pageActivity.js';
import { isRedirectFailure } from '../browser/page/loadErrors.js';
import { describeChallenge, withoutCredentials } from '../browser/policy/credentials.js';
import { describeDialog } from '../browser/page/interruptions.js';
import { releaseElements } from '../browser/page/element.js';
import type { SessionPage } from '../browser/page/sessionPage.js';
import { takeSnapshot, type PartialRead, type Snapshot, type SnapshotOptions } from '../browser/page/snapshot.js';
import type { ToolAnswer } from './defineTool.js';
import { cutText } from '../text.js';

/** Bounds for the text of one answer. A snapshot may be longer: it is read completely. */
const maxTextBytes = 64 * 1024;
const maxSnapshotBytes = 256 * 1024;
const maxUrlLength = 300;

/** The output of every tool that acts on a page. */
export const actionOutput = z.object({
  url: z.string(),
  navigated: z.boolean(),
  /** False if the page was still busy after the wait, a dialog is open or the debugger paused it. */
  settled: z.boolean(),
  /** Of the document, when it is not 2xx. */
  status: z.int().optional(),
  /** Why the page is not settled. */
  busyWith: z.string().optional(),
  dialog: z.object({ type: z.string(), message: z.string() }).optional(),
  /** Where the debugger paused the page. */
  paused: z.string().optional(),
  openedWindows: z.array(z.string()).optional(),
  openedPages: z.array(z.int()).optional(),
  download: z.string().optional(),
  /** The page is gone. */
  closed: z.boolean().optional(),
  /** The further facts in the text, one per line. */
  effects: z.array(z.string()).optional(),
  snapshot: z.string().optional(),
});

export type ActionOutput = z.infer<typeof actionOutput>;

export const uid = z.string().describe('Element, from a snapshot');
export const includeSnapshot = z.boolean().optional().describe('Also show what changed');

const maxLoadMs = 120_000;

/** The argument `timeout` of tools that load a page, in milliseconds. */
export const loadTimeout = z.number().int().min(1).max(maxLoadMs).default(15_000).describe('Longest wait, in ms');

/** Deadline of a tool with a `loadTimeout`: the longest one, and time to settle and answer. */
export const navigationTimeoutMs = maxLoadMs + 10_000;

interface Action extends SettleOptions {
  readonly page: SessionPage;
  readonly signal: AbortSignal;
  /** The first line of the answer: what was done, in the past tense, with a full stop. */
  readonly done: string;
  readonly includeSnapshot?: boolean | undefined;
}

/** Runs `work` on a page, waits until the page has settled, and answers the outcome. */
export async function answerAction(
  action: Action,
  work: (signal: AbortSignal) => Promise<string | void>,
): Promise<ToolAnswer<ActionOutput>> {
  const { page, signal, done } = action;
  try {
    const watched = (stopped: AbortSignal) => {
      void bringForward(page);
      return unlessHeld(page, stopped, () => work(stopped));
    };
    const { value, outcome } = await performAction(page, signal, watched, action);
    return await answerOutcome(page, [done, ...(value === undefined ? [] : [value])], outcome, action.includeSnapshot);
  } finally {
    await releaseElements(page);
  }
}

const watchMs = 3_000;

/** The result of `work`. Throws a ToolError as soon as the page answers nothing any more. */
async function unlessHeld<T>(page: SessionPage, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  const done = new AbortController();
  const until = AbortSignal.any([signal, done.signal]);
  const watch = async (): Promise<never> => {
    for (;;) {
      await delay(watchMs, undefined, { signal: until });
      await page.requireAnswer(until, ' Whether the action was done is not known.');
    }
  };
  try {
    return await Promise.race([work(), watch()]);
  } finally {
    done.abort();
  }
}

/** `done`, then the effects of an action, a line each. */
export async function answerOutcome(
  page: SessionPage,
  done: readonly (string | void)[],
  outcome: ActionOutcome,
  withSnapshot = false,
): Promise<ToolAnswer<ActionOutput>> {
  const { dialog, paused, closed } = outcome;
  const isBlocked = dialog !== undefined || paused !== undefined || closed;
  const snapshot = withSnapshot && !isBlocked ? (await readSnapshot(page, { changes: true })).text : undefined;
  const [first = '', ...remarks] = done.filter((line) => line !== undefined);
  const effects = [...remarks, ...describeOutcome(outcome)];
  const lines = [...(first === '' ? [] : [first]), ...effects, ...(snapshot === undefined ? [] : [snapshot])];
  return {
    text: lines.join('\n'),
    structured: {
      ...structuredOutcome(page, outcome),
      ...(effects.length > 0 && { effects }),
      ...(snapshot !== undefined && { snapshot }),
    },
  };
}

function structuredOutcome(page: SessionPage, outcome: ActionOutcome): ActionOutput {
  const { dialog, paused, opened, navigated, settled, closed, download, busyWith, response } = outcome;
  return {
    url: withoutCredentials(navigated ?? page.url()),
    navigated: navigated !== undefined,
    settled,
    ...(isFailure(response) && { status: response.status }),
    ...(busyWith !== undefined && { busyWith }),
    ...(dialog && { dialog: { type: dialog.type, message: dialog.message } }),
    ...(paused !== undefined && { paused }),
    ...(opened.length > 0 && { openedWindows: opened.map(({ url }) => shortUrl(url)) }),
    ...(opened.some(({ pageId }) => pageId !== undefined) && {
      openedPages: opened.flatMap(({ pageId }) => pageId ?? []),
    }),
    ...(download !== undefined && { download: withoutCredentials(download) }),
    ...(closed && { closed }),
  };
}

/** For all schemes but mail, Chrome asks in the tab, and nothing answers its question. */
function describeExternal(address: string): string {
  const effect = `It hands ${shortUrl(address)} to another program (mail, telephone, an app), and none is started here.`;
  if (/^mailto:/i.test(address)) return `${effect} The page stays.`;
  return `${effect} The page stays, but Chrome asks about it in this tab, which takes no clicks until it shows another site: continue in a new page (new_page).`;
}

/** The effects of an action, a line each. */
export function describeOutcome(outcome: ActionOutcome): string[] {
  const { dialog, paused, opened, download, external, closed, stopped, busyWith } = outcome;
  if (closed) return ['The page closed itself. list_pages shows what is left.'];
  const lines = [...documentLines(outcome), ...challengeLines(outcome.challenges)];
  for (const { url, ms } of stopped) {
    lines.push(
      `Loading ${shortUrl(url)} was stopped after ${Math.round(ms / 1000)} s, since its server did not answer. The page ` +
        'shows what it showed before; navigate_page takes a longer timeout.',
    );
  }
  for (const { url, pageId } of opened) {
    lines.push(
      pageId === undefined
        ? `It asked for a window: ${shortUrl(url)}. None is open yet: its server has not answered, and the answer after that names its page, or the window was blocked (list_console_messages).`
        : `It opened page ${pageId}: ${shortUrl(url)}. select_page or pageId uses it.`,
    );
  }
  if (download !== undefined) lines.push(`It started a download: ${shortUrl(download)}. list_downloads waits for it.`);
  if (external !== undefined) lines.push(describeExternal(external));
  lines.push(...outcome.prompts);
  if (dialog) lines.push(describeDialog(dialog));
  else if (paused !== undefined) lines.push(paused);
  else if (busyWith !== undefined) {
    const next =
      busyWith === heldReason
        ? 'navigate_page ends it, also with reload; uninstall_extension ends a content script that does it.'
        : 'Its content can be read; wait_for waits for a text that is missing.';
    lines.push(`The page is still busy: ${busyWith}. ${next}`);
  }
  return lines;
}

function documentLines({ navigated, response, loadError, unreachable, download, stopped }: ActionOutcome): string[] {
  const status = isFailure(response) ? describeStatus(response) : undefined;
  if (navigated === undefined) {
    if (response === undefined || stopped.length > 0 || download !== undefined) return [];
    return [`${shortUrl(response.url)} answered ${status ?? 'without a page'}: the page stays as it was.`];
  }
  const place = `Now at ${shortUrl(navigated)}`;
  if (unreachable && isErrorPage(response, loadError)) return [place, describeErrorPage(loadError)];
  const notes = [...(status === undefined ? [] : [status]), ...(unreachable ? ['without a body'] : [])];
  const line = `${place}${notes.length === 0 ? '' : ` (${notes.join(', ')})`}`;
  if (loadError === undefined || unreachable) return [line];
  return [line, `Its document is incomplete, and the rest is missing: ${loadError.error}.`];
}

const isErrorPage = (response: DocumentResponse | undefined, loadError: ActionOutcome['loadError']): boolean =>
  response === undefined || isRedirectFailure(loadError?.error ?? '');

function describeErrorPage(loadError: ActionOutcome['loadError']): string {
  const cause = loadError === undefined ? '.' : `: ${loadError.error}. ${loadError.advice}`;
  return `It could not be loaded, and the browser shows an error page${cause}`;
}

function isFailure(response: DocumentResponse | undefined): response is DocumentResponse {
  // A file has the status 0.
  return response !== undefined && response.status !== 0 && (response.status < 200 || response.status > 203);
}

function describeStatus({ status, statusText }: DocumentResponse): string {
  return `${status} ${statusText || (STATUS_CODES[status] ?? '')}`.trim();
}

/** Which server asks for credentials, and the tool that supplies them. */
function challengeLines(responses: readonly DocumentResponse[]): string[] {
  const lines = responses.flatMap((response) => {
    const challenge = describeChallenge(response);
    return challenge === undefined ? [] : [`${shortUrl(response.url)} answered ${response.status}. ${challenge}`];
  });
  return [...new Set(lines)];
}

/** An address, cut to 300 characters: data: URLs can be very long. */
export function shortUrl(address: string): string {
  const url = withoutCredentials(address);
  return url.length > maxUrlLength ? `${cutText(url, maxUrlLength)}… (${url.length} characters)` : url;
}

/** A page's snapshot as one text; with `changes`, only the changes since the last shown one, if that is possible. */
export async function readSnapshot(
  page: SessionPage,
  { changes = false, ...options }: Partial<SnapshotOptions> & { readonly changes?: boolean },
): Promise<{ readonly text: string; readonly reading: Snapshot }> {
  const { verbose = false, from } = options;
  const reading = await takeSnapshot(page, { verbose, from });
  const [before, shown] = [page.shownLines, shownLinesOf(reading)];
  const changed = changes && before && shown ? describeChanges(before, shown) : undefined;
  if (!verbose && from === undefined) page.shownLines = shown;
  return { text: changed ?? textOfSnapshot(reading), reading };
}

/** The lines of a snapshot that is shown whole. */
function shownLinesOf({ lines, part }: Snapshot): readonly string[] | undefined {
  const bytes = lines.reduce((sum, line) => sum + Buffer.byteLength(line) + 1, 0);
  return part === undefined && bytes <= maxSnapshotBytes ? lines : undefined;
}

/** A name may be of any length. */
const maxLineChars = 10_000;

function shownLine(line: string): string {
  if (line.length <= maxLineChars) return line;
  return `${cutText(line, maxLineChars)}… (${line.length - maxLineChars} more characters; find_in_snapshot searches them)`;
}

/** Cut at a line end, with how to get the rest. */
function textOfSnapshot({ lines, part }: Snapshot): string {
  const text = truncateAnswer(lines.map(shownLine).join('\n'), 'find_in_snapshot searches all of it', maxSnapshotBytes);
  return part === undefined ? text : `${text}\n${describePart(part, 'take_snapshot')}`;
}

const uidOfLine = (line: string): string => /^ *uid=(\S+)/.exec(line)?.[1] ?? '';
const depthOf = (line: string): number => line.length - line.trimStart().length;

/**
 * What is new, changed and gone between two snapshots, with the element around it. Undefined if elements changed places,
 * or if the whole snapshot is not longer.
 */
function describeChanges(before: readonly string[], after: readonly string[]): string | undefined {
  const old = new Map(before.map((line) => [uidOfLine(line), line]));
  const present = new Set(after.map(uidOfLine));
  const stayed = (lines: readonly string[], others: { has(uid: string): boolean }): string =>
    lines.flatMap((line) => (others.has(uidOfLine(line)) ? uidOfLine(line) : [])).join(' ');
  if (stayed(before, present) !== stayed(after, old)) return undefined;
  const shown: string[] = [];
  const around: string[] = [];
  const told = new Set<string>();
  const counts = { new: 0, changed: 0, gone: 0 };
  for (const line of after) {
    around.length = depthOf(line);
    const known = old.get(uidOfLine(line));
    if (known !== line) {
      const outer = around.at(-1);
      if (outer !== undefined && !told.has(outer)) shown.push(`  ${outer}`);
      for (const each of [outer, line]) if (each !== undefined) told.add(each);
      shown.push(`${known === undefined ? '+' : '~'} ${line}`);
      counts[known === undefined ? 'new' : 'changed'] += 1;
    }
    around.push(line);
  }
  const gone = goneLines(before, present);
  counts.gone = gone.count;
  const changes = [...shown, ...gone.lines.map((line) => `- ${line}`)].map(shownLine);
  if (changes.length === 0) return `Nothing changed since the last snapshot, which has ${after.length} lines.`;
  if (changes.length >= after.length) return undefined;
  const sum = `Since the last snapshot ${counts.new} new (+), ${counts.changed} changed (~), ${counts.gone} gone (-):`;
  return [sum, ...changes].join('\n');
}

/** The removed elements, each with its contents as one line. */
function goneLines(
  before: readonly string[],
  present: { has(uid: string): boolean },
): { count: number; lines: string[] } {
  const gone: { readonly line: string; inner: number }[] = [];
  let depth = Infinity;
  for (const line of before) {
    const [isPresent, outer] = [present.has(uidOfLine(line)), gone.at(-1)];
    if (depthOf(line) > depth && outer) outer.inner += isPresent ? 0 : 1;
    else {
      depth = isPresent ? Infinity : depthOf(line);
      if (!isPresent) gone.push({ line, inner: 0 });
    }
  }
  return {
    count: gone.reduce((sum, { inner }) => sum + 1 + inner, 0),
    lines: gone.map(({ line, inner }) => (inner === 0 ? line : `${line} … and ${inner} in it`)),
  };
}

/** Says which part of a page was read, and how `tool` reads the rest. */
export function describePart({ read, nodes, characters, next }: PartialRead, tool: string): string {
  const more = next === undefined ? '' : ` ${tool} {"from":"${next}"} continues there.`;
  return (
    `… too big to be read completely (${nodes} nodes, ${characters} characters of text): ${read} nodes were read, with ` +
    `roles and names from their tags.${more} evaluate_script reads texts that are cut.`
  );
}

/** The part of a text as data. */
export const partOutput = z.object({
  read: z.int(),
  nodes: z.int(),
  characters: z.int(),
  next: z.string().optional(),
});

export function structuredPart({ next, ...part }: PartialRead): z.infer<typeof partOutput> {
  return { ...part, ...(next !== undefined && { next }) };
}

/**
 * Truncates a text of more than `maxBytes` at the end of a line, and says so, with `hint` as the way to read the rest.
 */
export function truncateAnswer(text: string, hint: string, maxBytes = maxTextBytes): string {
  const bytes = Buffer.byteLength(text);
  if (bytes <= maxBytes) return text;
  const { length } = Buffer.from(text).toString('utf8', 0, maxBytes);
  const head = cutText(text, length - 1);
  const end = head.lastIndexOf('\n');
  const whole = end > maxBytes / 2 ? head.slice(0, end) : head;
  return `${whole}\n… cut: ${bytes - Buffer.byteLength(whole)} of ${bytes} bytes left out; ${hint}.`;
}
