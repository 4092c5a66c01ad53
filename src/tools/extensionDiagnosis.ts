import { z } from 'zod';
import { ExtensionsPage, findExtension, type ExtensionInfo } from '../browser/extensions/installedExtensions.js';
import {
  type ExtensionLogEntry,
  foldNumbers,
  runtimeErrors,
  type RuntimeError,
} from '../browser/extensions/extensionLog.js';
import { withCdpScope, type CdpScope } from '../browser/cdp/cdpScope.js';
import type { SessionBrowser } from '../browser/pool/sessionBrowser.js';
import { truncateAnswer, shortUrl } from './answers.js';
import type { CodeLocation } from '../browser/collectors/consoleMessage.js';
import { frameText, locationText } from './consoleTools.js';
import { originalOutput, OriginalPlaces } from './originalPlaces.js';
import { defineTool } from './defineTool.js';
import { count, extensionIdInput } from './extensionFields.js';
import { errorsInFolder } from '../browser/extensions/serviceWorkers.js';
import type { UnansweredMessage } from '../browser/extensions/messageLog.js';
import { oneLine } from './pagination.js';
import { contentScriptsIn, isCutOff } from '../browser/extensions/contentScripts.js';
import { predictInjections, type Injection } from '../browser/extensions/injection.js';
import type { SessionPage } from '../browser/page/sessionPage.js';
import { ToolError } from '../errors/errors.js';
import { othersOfNumbers } from '../text.js';

const runtimeErrorRow = z.object({
  message: z.string(),
  context: z.string(),
  url: z.string().optional(),
  line: z.int().optional(),
  column: z.int().optional(),
  stack: z.array(z.string()),
  count: z.int(),
  variants: z.int().optional(),
  original: originalOutput.optional(),
});

const maxRuntimeErrors = 100;
const maxUnanswered = 20;
const payloadChars = 200;

const unansweredRow = z.object({
  ...{ from: z.string(), place: z.string().optional(), payload: z.string(), problem: z.string(), count: z.int() },
});

export const getRuntimeErrorsTool = defineTool({
  name: 'get_extension_runtime_errors',
  title: 'Extension errors',
  group: 'extension',
  needs: 'extension',
  description: 'Uncaught errors and manifest problems of an extension, with location, stack and count: look here first',
  input: z.strictObject({ extensionId: extensionIdInput }),
  output: z.object({
    ...{ errors: z.array(runtimeErrorRow), total: z.int(), unanswered: z.array(unansweredRow) },
    sourceMaps: z.array(z.string()).optional(),
  }),
  annotations: { readOnlyHint: true },
  async handler({ extensionId: id }, { browser, signal }) {
    const { name, info, seen } = await withCdpScope(browser.browser, signal, (scope) => readErrors(scope, id, browser));
    const errors = foldNumbers(runtimeErrors(info, seen));
    const unanswered = browser.activity.messages
      .unanswered(id)
      .slice(-maxUnanswered)
      .map((message) => ({ ...message, payload: oneLine(message.payload, payloadChars) }));
    const shown = errors.slice(-maxRuntimeErrors);
    const locations = shown.flatMap((error) => [placeOf(error), ...error.stack]);
    const places = await OriginalPlaces.find({ browser }, { locations }, signal);
    const lines =
      errors.length === 0 ? [`"${name}" has no errors.`] : shown.map((error) => describeRuntimeError(error, places));
    if (shown.length < errors.length) lines.unshift(`The newest ${maxRuntimeErrors} of ${errors.length}:`);
    if (unanswered.length > 0) lines.push('Messages without a proper answer:', ...unanswered.map(describeUnanswered));
    lines.push(...places.problems);
    return {
      text: truncateAnswer(lines.join('\n'), 'call clear_extension_errors, then reproduce the error'),
      structured: {
        errors: shown.map((error) => structuredRuntimeError(error, places)),
        ...{ total: errors.length, unanswered },
        ...(places.problems.length > 0 && { sourceMaps: places.problems }),
      },
    };
  },
});

function describeUnanswered({ from, place, payload, problem, count: times }: UnansweredMessage): string {
  const at = place === undefined ? '' : ` at ${place}`;
  return `${times > 1 ? `${times}x ` : ''}[${from}${at}] ${payload}: ${problem}`;
}

export const clearErrorsTool = defineTool({
  name: 'clear_extension_errors',
  title: 'Clear extension errors',
  group: 'extension',
  needs: 'extension',
  description: 'Empty the error list of an extension, so that only new errors show',
  input: z.strictObject({ extensionId: extensionIdInput }),
  output: z.object({ cleared: z.int() }),
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true },
  async handler({ extensionId: id }, { browser, signal }) {
    const { name, cleared } = await withCdpScope(browser.browser, signal, async (scope) => {
      const { name, page, info, seen } = await readErrors(scope, id, browser);
      await page.clearProblems(id);
      browser.activity.logs.clearErrors(id);
      browser.activity.messages.clearUnanswered(id);
      return { name, cleared: foldNumbers(runtimeErrors({ ...info, manifestErrors: [] }, seen)).length };
    });
    return { text: `Cleared ${count(cleared, 'error')} of "${name}".`, structured: { cleared } };
  },
});

interface ErrorReading {
  readonly name: string;
  readonly page: ExtensionsPage;
  readonly info: ExtensionInfo;
  readonly seen: readonly ExtensionLogEntry[];
}

async function readErrors(scope: CdpScope, id: string, { activity }: SessionBrowser): Promise<ErrorReading> {
  const { name, path } = await findExtension(scope, id);
  const [page] = await Promise.all([ExtensionsPage.open(scope), activity.captureWorker(scope, id)]);
  const info = await page.info(id);
  const isFailed = info.manifestErrors.some(({ message }) => message.startsWith('Service worker registration failed'));
  const found = isFailed ? await errorsInFolder(path, scope.signal) : [];
  const manifestErrors = [...info.manifestErrors, ...found.map((message) => ({ message }))];
  return { name, page, info: { ...info, manifestErrors }, seen: activity.logs.errors(id) };
}

/** Of an error of the manifest undefined. */
function placeOf({ url, line, column }: RuntimeError): CodeLocation | undefined {
  return url === undefined ? undefined : { url, line, column };
}

function describeRuntimeError(error: RuntimeError, places: OriginalPlaces): string {
  const { message, context, stack, count: times, variants = 1 } = error;
  const place = placeOf(error);
  const others = variants > 1 ? ` (${othersOfNumbers(variants - 1)})` : '';
  const position = place === undefined ? '' : ` at ${places.text(place, locationText(place))}`;
  const frames = stack.map((frame) => `\n    ${frameText(frame, places)}`);
  return `${times > 1 ? `${times}x ` : ''}[${context}] ${oneLine(message, 2_000)}${others}${position}${frames.join('')}`;
}

function structuredRuntimeError(error: RuntimeError, places: OriginalPlaces): z.input<typeof runtimeErrorRow> {
  const { message, context, url, line, column, stack, count: times, variants = 1 } = error;
  return {
    ...{ message, context, count: times },
    ...(variants > 1 && { variants }),
    stack: stack.map((frame) => frameText(frame, places)),
    ...places.field(placeOf(error)),
    ...(url === undefined ? {} : { url }),
    ...(line === undefined ? {} : { line }),
    ...(column === undefined ? {} : { column }),
  };
}

const injectionRow = z.object({
  name: z.string(),
  files: z.array(z.string()),
  runAt: z.string(),
  world: z.string(),
  allFrames: z.boolean(),
  expected: z.boolean(),
  /** With a page: the script files that run there. */
  running: z.array(z.string()).optional(),
  reasons: z.array(z.string()),
});

type InjectionRow = z.infer<typeof injectionRow>;

export const checkInjectionTool = defineTool({
  name: 'check_content_script_injection',
  title: 'Check content scripts',
  group: 'extension',
  needs: 'extension',
  description: 'Which content scripts of an extension match a page or URL, why not, and which run there',
  input: z.strictObject({
    extensionId: extensionIdInput,
    url: z.string().optional().describe('Instead of the URL of a page'),
    pageId: z.int().min(1).optional().describe('Default: selected'),
  }),
  output: z.object({ url: z.string(), scripts: z.array(injectionRow), notes: z.array(z.string()) }),
  annotations: { readOnlyHint: true },
  async handler({ extensionId: id, url: address, pageId }, { browser, signal }) {
    const page = address === undefined ? browser.page(pageId) : undefined;
    const url = parseUrl(address ?? page?.url() ?? '');
    const { name, injections, worlds, isStale } = await withCdpScope(browser.browser, signal, async (scope) => {
      const extension = await findExtension(scope, id);
      const info = await (await ExtensionsPage.open(scope)).info(id);
      const injections = await predictInjections(scope, extension, { info, url });
      const [here] = page === undefined ? [] : (await contentScriptsIn(scope, extension, [page])).found;
      const worlds = here?.worlds ?? [];
      return { name: extension.name, injections, worlds, isStale: await isCutOff(scope, worlds) };
    });
    // A page of an extension runs its own scripts, which are no content scripts.
    const isOwn = url.protocol === 'chrome-extension:';
    const running = page && (isOwn ? [] : browser.activity.scriptsIn(page.frames.mainId, id));
    const notes = injectionNotes(injections, { running: running ?? [], isInPage: worlds.length > 0, isStale });
    if (isOwn) notes.push('It is a page of an extension: Chrome puts no content scripts there.');
    const scripts = injections.map((injection) => injectionRowOf(injection, running));
    const lines = scripts.map(describeInjection);
    if (lines.length === 0)
      lines.push(
        `"${name}" has no content scripts, neither in its manifest nor registered with chrome.scripting or chrome.userScripts.`,
      );
    return {
      text: [`Content scripts of "${name}" at ${locationOf(url, page)}:`, ...lines, ...notes].join('\n'),
      structured: { url: url.href, scripts, notes },
    };
  },
});

/** What runs in the page beside what is declared for it, or is cut off. */
function injectionNotes(
  injections: readonly Injection[],
  { running, isInPage, isStale }: { running: readonly string[]; isInPage: boolean; isStale: boolean },
): string[] {
  const declared = new Set(
    injections.flatMap(({ expected, script }) =>
      expected ? script.files.map((file) => file.replace(/^\.?\//, '')) : [],
    ),
  );
  const others = running.filter((file) => !declared.has(file));
  const isOnlyCode = isInPage && running.length === 0 && declared.size === 0;
  return [
    ...(isStale
      ? [
          'The code that runs there is from before the extension was reloaded or updated, and is cut off from it: reload the page.',
        ]
      : []),
    ...(others.length > 0
      ? [
          `Runs there too, put in by chrome.scripting.executeScript, imported, or from before a reload: ${others.join(', ')}`,
        ]
      : []),
    ...(isOnlyCode ? ['Functions of the extension run there, put in by chrome.scripting.executeScript.'] : []),
  ];
}

function parseUrl(text: string): URL {
  if (URL.canParse(text)) return new URL(text);
  throw new ToolError(`"${text}" is not a URL. Pass a complete one, such as https://example.com/path.`);
}

function locationOf(url: URL, page: SessionPage | undefined): string {
  return `${shortUrl(url.href)}${page === undefined ? '' : ` (page ${page.id})`}`;
}

function injectionRowOf(
  { script, expected, reasons }: Injection,
  running: readonly string[] | undefined,
): InjectionRow {
  const { name, files, runAt, world, allFrames } = script;
  const facts = { name, files: [...files], runAt, world, allFrames, expected };
  if (running === undefined) return { ...facts, reasons: [...reasons] };
  const here = files.filter((file) => running.includes(file.replace(/^\.?\//, '')));
  const absent = files.filter((file) => /\.m?js$/.test(file) && !here.includes(file));
  const late =
    expected && absent.length > 0
      ? [
          `not running yet: ${absent.join(', ')}. Reload the page if it was loaded before the extension was; ` +
            `${runAt} may not have come; or the script failed: get_extension_runtime_errors`,
        ]
      : [];
  return { ...facts, running: here, reasons: [...reasons, ...late] };
}

function describeInjection({ name, files, runAt, world, allFrames, expected, running, reasons }: InjectionRow): string {
  const verdict = expected ? 'is injected' : 'is not injected';
  const facts = `${runAt}, ${world} world, ${allFrames ? 'all frames' : 'outermost frame only'}`;
  const now = running === undefined ? '' : ` Running there now: ${running.join(', ') || 'nothing of it'}.`;
  return `${name} (${files.join(', ')}; ${facts}) ${verdict}: ${reasons.join('; ')}.${now}`;
}
