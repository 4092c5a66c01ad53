import { z } from 'zod';
import { asRead } from '../browser/injected/contract.js';
import { compileRegex, type RegexTest } from '../browser/patterns/regex.js';
import { inSlices } from '../browser/patterns/slices.js';
import { performAction, type ActionOutcome } from '../browser/page/performAction.js';
import { describeDialog } from '../browser/page/interruptions.js';
import { documentsOf, runScript, type ScriptResult } from '../browser/page/runScript.js';
import type { SessionBrowser } from '../browser/pool/sessionBrowser.js';
import type { SessionPage } from '../browser/page/sessionPage.js';
import { takeScreenshot, type Picture, type Screenshot } from '../browser/page/screenshot.js';
import { takeSnapshot, type Snapshot } from '../browser/page/snapshot.js';
import { messageOf, ToolError } from '../errors/errors.js';
import { cutText, shortenText } from '../text.js';
import { truncateAnswer, describeOutcome, describePart, partOutput, readSnapshot, structuredPart } from './answers.js';
import { definePageTool, type Tool, type ToolAnswer } from './defineTool.js';
import { pdfLines } from './documentAccess.js';

const from = z.string().optional().describe('Begin at this uid');

const partFields = ({ part }: Snapshot) => (part === undefined ? {} : { part: structuredPart(part) });

const takeSnapshotTool = definePageTool({
  name: 'take_snapshot',
  title: 'Page snapshot',
  group: 'look',
  description:
    'A page as text: a line per element or table row, with role, name and the uid that actions take. find_in_snapshot is shorter',
  input: z.strictObject({
    verbose: z.boolean().optional().describe('Also structure, cells, URLs, descriptions'),
    changes: z.boolean().optional().describe('Only what changed since the last one'),
    from,
  }),
  output: z.object({ url: z.string(), snapshot: z.string(), part: partOutput.optional() }),
  annotations: { readOnlyHint: true },
  async handler({ verbose = false, changes = false, from }, { page, browser, signal }) {
    if (changes && (verbose || from !== undefined)) throw new ToolError('Pass changes without verbose and from.');
    const { text: tree, reading } = await readSnapshot(page, { verbose, changes, from });
    const written = from === undefined ? await pdfLines(browser, page, signal) : [];
    const text = written.length === 0 ? tree : truncateAnswer([tree, ...written].join('\n'), searched);
    return { text, structured: { url: page.url(), snapshot: text, ...partFields(reading) } };
  },
});

const searched = 'find_in_snapshot searches all of it';

const findInSnapshotTool = definePageTool({
  name: 'find_in_snapshot',
  title: 'Find in snapshot',
  group: 'look',
  description:
    'Search the snapshot of a page by text or regular expression, ignoring case: for one part instead of take_snapshot',
  input: z.strictObject({
    text: z.string().min(1).optional().describe('Text in a line'),
    regex: z.string().min(1).optional().describe('Instead of text'),
    context: z.number().int().min(0).max(10).default(1).describe('Lines before and after each match'),
    from,
  }),
  output: z.object({ matches: z.number().int(), lines: z.string(), part: partOutput.optional() }),
  annotations: { readOnlyHint: true },
  async handler({ text, regex, context, from }, { page, browser, signal }) {
    if ((text === undefined) === (regex === undefined)) throw new ToolError('Pass either text or regex.');
    const reading = await takeSnapshot(page, { verbose: false, from });
    const { part } = reading;
    const lines = from === undefined ? [...reading.lines, ...(await pdfLines(browser, page, signal))] : reading.lines;
    const hits =
      regex === undefined ? hitsOfText(lines, text ?? '') : await inSlices(hitsOfPattern(lines, regex), signal);
    const found = truncateAnswer(excerpt(lines, hits, context), 'search for a longer text');
    const none = `Nothing of the ${lines.length} lines matches. take_snapshot shows them.`;
    const head = hits.length === 1 ? '1 match:' : `${hits.length} matches:`;
    const rest = part === undefined ? [] : [describePart(part, 'find_in_snapshot')];
    return {
      text: [hits.length === 0 ? none : `${head}\n${found}`, ...rest].join('\n'),
      structured: { matches: hits.length, lines: found, ...partFields(reading) },
    };
  },
});

/** A line that matches, and the character from which on it does. */
interface Hit {
  readonly index: number;
  readonly at: number;
}

function hitsOfText(lines: readonly string[], text: string): Hit[] {
  const wanted = asRead(text).toLowerCase();
  return lines.flatMap((line, index) => {
    const at = asRead(line).toLowerCase().indexOf(wanted);
    return at === -1 ? [] : [{ index, at }];
  });
}

/** What a match may be long, for one that stands on the border between two parts of a long line. */
const overlap = 200;

function* hitsOfPattern(lines: readonly string[], pattern: string): Generator<undefined, Hit[]> {
  const matches = regexOf(pattern);
  const hits: Hit[] = [];
  for (const [index, line] of lines.entries()) {
    for (let at = 0; at === 0 || at + overlap < line.length; at += Math.max(overlap, matches.chars - overlap)) {
      const isHit = matches(at === 0 ? line : line.slice(at, at + matches.chars));
      if (isHit) hits.push({ index, at });
      yield;
      if (isHit) break;
    }
  }
  return hits;
}

function regexOf(pattern: string): RegexTest {
  try {
    return compileRegex(pattern, 'i');
  } catch (error) {
    throw new ToolError(`regex ${JSON.stringify(pattern)}: ${messageOf(error)} Or search by text.`, { cause: error });
  }
}

const maxHitChars = 4_000;
const maxContextChars = 300;
const headChars = 100;

/** The part of a long line that matches, after its beginning, which has the uid. */
function partOf(line: string, at: number): string {
  if (line.length <= maxHitChars) return line;
  const from = Math.max(0, at - headChars);
  const shown =
    from <= headChars
      ? cutText(line, maxHitChars)
      : `${cutText(line, headChars)} … ${cutText(line.slice(from), maxHitChars)}`;
  return `${shown} … (of ${line.length} characters; evaluate_script reads all)`;
}

/** The matching lines with `context` lines around them; `…` where lines are left out. */
function excerpt(lines: readonly string[], hits: readonly Hit[], context: number): string {
  const hitAt = new Map(hits.map(({ index, at }) => [index, at]));
  const kept = new Set<number>();
  for (const { index } of hits) for (let at = index - context; at <= index + context; at++) kept.add(at);
  const parts: string[] = [];
  let before = -1;
  for (const [index, line] of lines.entries()) {
    if (!kept.has(index)) continue;
    if (before !== -1 && index !== before + 1) parts.push('…');
    const at = hitAt.get(index);
    parts.push(at === undefined ? shortenText(line, maxContextChars) : partOf(line, at));
    before = index;
  }
  return parts.join('\n');
}

const takeScreenshotTool = definePageTool({
  name: 'take_screenshot',
  title: 'Screenshot',
  group: 'look',
  description: 'Picture of a page or an element, to see how it looks. To read or act: take_snapshot',
  input: z.strictObject({
    format: z.enum(['png', 'jpeg', 'webp']).default('png').describe('Image format'),
    quality: z.number().int().min(0).max(100).optional().describe('Of jpeg and webp, 0 to 100'),
    uid: z.string().optional().describe('Only this element, from a snapshot'),
    fullPage: z.boolean().optional().describe('Also the parts out of view'),
    uids: z.boolean().optional().describe('With uids drawn on it'),
    from: z.int().min(0).optional().describe('y to begin at, in a long page'),
  }),
  output: z.object({
    /** Of the first picture. */
    width: z.int(),
    height: z.int(),
    /** The area of the page, in CSS pixels. */
    area: z.object({ width: z.number(), height: z.number() }),
    scaled: z.boolean(),
    mimeType: z.string(),
    bytes: z.int(),
    /** What each picture shows of a long area, in CSS pixels from its top. */
    parts: z.array(z.object({ from: z.int(), to: z.int(), width: z.int(), height: z.int() })).optional(),
    /** Where the next call begins. */
    next: z.int().optional(),
    marks: z.int().optional(),
  }),
  annotations: { readOnlyHint: true },
  async handler({ fullPage = false, uid, from, uids = false, ...rest }, { page, pictures: limits }) {
    if (fullPage && uid !== undefined) throw new ToolError('Pass either uid or fullPage.');
    if (from !== undefined && !fullPage && uid === undefined) throw new ToolError('Pass from with fullPage or uid.');
    const marked = uids ? (await takeSnapshot(page, { verbose: false })).targets : [];
    const shot = await takeScreenshot(page, { ...rest, uid, fullPage, from, limits, marked });
    const { mimeType, pictures } = shot;
    const marks = uids ? shot.marks : undefined;
    const drawn = uids ? ` ${shot.marks} uids are drawn on it, of what can be clicked or filled.` : '';
    return {
      text: describeScreenshot(shot) + drawn,
      structured: { ...screenshotData(shot), ...(marks !== undefined && { marks }) },
      content: pictures.map(({ data }) => ({ type: 'image', data, mimeType })),
    };
  },
});

/** Where the pictures of a long area continue, in CSS pixels; undefined if they show all of it. */
function nextPart({ pictures, area }: Screenshot): number | undefined {
  const end = pictures.at(-1)?.to ?? 0;
  return pictures.length > 1 && end < Math.round(area.height) ? end : undefined;
}

function screenshotData(shot: Screenshot) {
  const { mimeType, pictures, area, isScaled } = shot;
  const [{ width, height, bytes }] = pictures;
  const next = nextPart(shot);
  const parts = pictures.map(({ from, to, width: wide, height: high }) => ({ from, to, width: wide, height: high }));
  return {
    ...{ width, height, area, scaled: isScaled, mimeType, bytes },
    ...(parts.length > 1 && { parts }),
    ...(next !== undefined && { next }),
  };
}

const scriptOutput = z.object({
  type: z.string(),
  result: z.string(),
  dialog: z.string().optional(),
  paused: z.string().optional(),
  /** The effects of the script on the page, one per line. */
  effects: z.array(z.string()).optional(),
});

/** A line for each picture, in their order. */
function describeScreenshot(shot: Screenshot): string {
  const { mimeType, pictures, area, isScaled } = shot;
  const next = nextPart(shot);
  const [first, ...others] = pictures;
  const sizeOf = ({ width, height, bytes }: Picture): string =>
    `${width} × ${height} pixels, ${mimeType}, ${bytes} bytes`;
  const whole = `${Math.round(area.width)} × ${Math.round(area.height)}`;
  if (others.length === 0) {
    const shown = `${Math.round(area.width)} × ${first.to - first.from}`;
    const scaled = isScaled ? ` Scaled down from ${shown}, to what a client takes; for more detail pass a uid.` : '';
    const place = first.from > 0 ? ` It shows y ${first.from} to ${first.to}, the end.` : '';
    return `${sizeOf(first)}.${place}${scaled}`;
  }
  const rest =
    next === undefined
      ? `That is all of ${whole}.`
      : `It continues to y ${Math.round(area.height)}: pass from ${next} for the next pictures.`;
  const pixels = isScaled
    ? 'Scaled down. For pointer with inScreenshot, take one without fullPage.'
    : 'For pointer with inScreenshot, use the y values given here.';
  const lines = pictures.map((picture) => `${sizeOf(picture)}: y ${picture.from} to ${picture.to}`);
  return [...lines, pixels, rest].join('\n');
}

const evaluateScriptTool = definePageTool({
  name: 'evaluate_script',
  title: 'Evaluate script',
  group: 'look',
  description:
    'Run a JavaScript function in a page; its result, awaited, comes back as JSON. In an extension: evaluate_in_extension',
  input: z.strictObject({
    function: z.string().min(1).describe('Such as (el) => el.innerText'),
    args: z.array(z.unknown()).optional().describe('Arguments of the function; {"uid": "e1"} becomes the element'),
  }),
  output: scriptOutput,
  annotations: { readOnlyHint: false },
  async handler(args, { browser, page, signal }) {
    await checkDocuments(browser, page, args.args ?? []);
    // A dialog or a pause does not end the action, as it does for others: the script continues after it.
    const hint = uidHints(page, args.args ?? []);
    const run = () => runScript(page, args.function, args.args ?? [], signal).catch(withHint(hint));
    const { value, outcome } = await performAction(page, signal, run, { onlyIfStarted: true });
    return answerScript(value, outcome, hint);
  },
});

/** `value` is undefined while the script has not ended: for a dialog or a pause. */
function answerScript(
  value: ScriptResult | undefined,
  outcome: ActionOutcome,
  hint: readonly string[],
): ToolAnswer<z.infer<typeof scriptOutput>> {
  const dialog = outcome.dialog && describeDialog(outcome.dialog);
  const blocked = dialog ?? outcome.paused;
  const { type, text } = value ?? { type: 'undefined', text: 'undefined' };
  const result = truncateAnswer(text, 'return a part of the result');
  const moved = describeOutcome({ ...outcome, dialog: undefined, paused: undefined });
  if (value?.type === 'undefined') moved.push(...hint);
  return {
    text: blocked === undefined ? [result, ...moved].join('\n') : `The script has not ended. ${blocked}`,
    structured: {
      ...{ type, result },
      ...(dialog !== undefined && { dialog }),
      ...(outcome.paused !== undefined && { paused: outcome.paused }),
      ...(moved.length > 0 && { effects: moved }),
    },
  };
}

/** A frame may show a page of an extension built into Chrome, such as its PDF viewer: scripts are refused there. */
async function checkDocuments(
  { addresses }: SessionBrowser,
  page: SessionPage,
  args: readonly unknown[],
): Promise<void> {
  for (const { url } of documentsOf(page, args)) {
    if (!(await addresses.allowsPage(url)))
      throw new ToolError(
        `An element is in ${url}, which is part of Chrome. Scripts cannot run there: pass elements of other frames.`,
      );
  }
}

/** A uid that is passed as a plain string stays a string, which is rarely intended. */
function uidHints(page: SessionPage, values: readonly unknown[]): string[] {
  const uids = values.filter((value) => typeof value === 'string').filter((text) => page.elements.has(text));
  return uids.map((uid) => `The argument "${uid}" was passed as text; {"uid": "${uid}"} is the element.`);
}

function withHint(hint: readonly string[]): (error: unknown) => never {
  return (error) => {
    if (!(error instanceof ToolError) || hint.length === 0) throw error;
    throw new ToolError([error.message, ...hint].join('\n'), { cause: error });
  };
}

export const lookTools: readonly Tool[] = [
  takeSnapshotTool,
  findInSnapshotTool,
  takeScreenshotTool,
  evaluateScriptTool,
];
