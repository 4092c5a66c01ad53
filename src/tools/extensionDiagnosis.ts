import { basename } from 'node:path';
import { z } from 'zod';
import {
  ExtensionsPage,
  findExtension,
  type ExtensionInfo,
  type ExtensionProblem,
} from '../browser/extensions/installedExtensions.js';
import { type ExtensionLogEntry, runtimeErrors, type RuntimeError } from '../browser/extensions/extensionLog.js';
import { withCdpScope, type CdpScope } from '../browser/cdp/cdpScope.js';
import type { SessionBrowser } from '../browser/pool/sessionBrowser.js';
import { truncateAnswer, shortUrl } from './answers.js';
import { locationText } from './consoleTools.js';
import { defineTool } from './defineTool.js';
import { count, extensionFolder, extensionId, extensionIdInput } from './extensionFields.js';
import { requireInnerLinks, type Workspace } from './workspace.js';
import { errorsInFolder } from '../browser/extensions/serviceWorkers.js';
import type { UnansweredMessage } from '../browser/extensions/messageLog.js';
import { oneLine } from './pagination.js';
import { readExtensionFiles } from '../browser/extensions/extensionFiles.js';
import type { Finding } from '../browser/extensions/findings.js';
import { manifestFindings } from '../browser/extensions/manifestAudit.js';
import { predictInjections, type Injection } from '../browser/extensions/injection.js';
import type { SessionPage } from '../browser/page/sessionPage.js';
import { ToolError } from '../errors/errors.js';

const runtimeErrorRow = z.object({
  message: z.string(),
  context: z.string(),
  url: z.string().optional(),
  line: z.int().optional(),
  column: z.int().optional(),
  stack: z.array(z.string()),
  count: z.int(),
});

const maxRuntimeErrors = 100;
const maxUnanswered = 20;
const payloadChars = 200;

const unansweredRow = z.object({ from: z.string(), payload: z.string(), problem: z.string(), count: z.int() });

export const getRuntimeErrorsTool = defineTool({
  name: 'get_extension_runtime_errors',
  title: 'Extension errors',
  group: 'extension',
  needs: 'extension',
  description: 'Uncaught errors and manifest problems of an extension, with location, stack and count: look here first',
  input: z.strictObject({ extensionId: extensionIdInput }),
  output: z.object({ errors: z.array(runtimeErrorRow), total: z.int(), unanswered: z.array(unansweredRow) }),
  annotations: { readOnlyHint: true },
  async handler({ extensionId: id }, { browser, signal }) {
    const { name, info, seen } = await withCdpScope(browser.browser, signal, (scope) => readErrors(scope, id, browser));
    const errors = runtimeErrors(info, seen);
    const unanswered = browser.activity.messages
      .unanswered(id)
      .slice(-maxUnanswered)
      .map((message) => ({ ...message, payload: oneLine(message.payload, payloadChars) }));
    const shown = errors.slice(-maxRuntimeErrors);
    const lines = errors.length === 0 ? [`"${name}" has no errors.`] : shown.map(describeRuntimeError);
    if (shown.length < errors.length) lines.unshift(`The newest ${maxRuntimeErrors} of ${errors.length}:`);
    if (unanswered.length > 0) lines.push('Messages without a proper answer:', ...unanswered.map(describeUnanswered));
    return {
      text: truncateAnswer(lines.join('\n'), 'call clear_extension_errors, then reproduce the error'),
      structured: { errors: shown.map(structuredRuntimeError), total: errors.length, unanswered },
    };
  },
});

function describeUnanswered({ from, payload, problem, count: times }: UnansweredMessage): string {
  return `${times > 1 ? `${times}x ` : ''}[${from}] ${payload}: ${problem}`;
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
      return { name, cleared: runtimeErrors({ ...info, manifestErrors: [] }, seen).length };
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

function describeRuntimeError({ message, context, url, line, column, stack, count: times }: RuntimeError): string {
  const position = url === undefined ? '' : ` at ${locationText({ url, line, column })}`;
  const frames = stack.map((frame) => `\n    ${frame.functionName} (${locationText(frame)})`);
  return `${times > 1 ? `${times}x ` : ''}[${context}] ${message}${position}${frames.join('')}`;
}

function structuredRuntimeError({
  message,
  context,
  url,
  line,
  column,
  stack,
  count: times,
}: RuntimeError): z.input<typeof runtimeErrorRow> {
  return {
    ...{ message, context, count: times },
    stack: stack.map((frame) => `${frame.functionName} (${locationText(frame)})`),
    ...(url === undefined ? {} : { url }),
    ...(line === undefined ? {} : { line }),
    ...(column === undefined ? {} : { column }),
  };
}

const finding = z.object({
  severity: z.enum(['error', 'warning', 'info']),
  at: z.string(),
  problem: z.string(),
  fix: z.string(),
});

export const inspectManifestTool = defineTool({
  name: 'inspect_extension_manifest',
  title: 'Check manifest',
  group: 'extension',
  needs: 'browser',
  description: 'Check manifest, files and code of an extension against Manifest V3; each finding with its fix',
  input: z.strictObject({
    extensionId: extensionId.optional().describe('From list_extensions'),
    path: z.string().min(1).optional().describe('A folder instead'),
  }),
  output: z.object({ findings: z.array(finding), manifest: z.string() }),
  annotations: { readOnlyHint: true },
  async handler({ extensionId: id, path }, { browser, signal, workspace }) {
    if ((id === undefined) === (path === undefined)) throw new ToolError('Pass either extensionId or path.');
    const { extension, warnings } =
      id === undefined
        ? { extension: await folderToCheck(path ?? '', workspace), warnings: [] }
        : await withCdpScope(browser.browser, signal, async (scope) => {
            const found = await findExtension(scope, id);
            const { manifestErrors } = await (await ExtensionsPage.open(scope)).info(id);
            return { extension: found, warnings: manifestErrors };
          });
    const files = await readExtensionFiles(extension);
    const findings = [...warnings.map(chromeFinding), ...(await manifestFindings(files, signal))];
    const manifest = JSON.stringify(files.manifest ?? null, undefined, 1);
    const heading =
      findings.length === 0
        ? `The manifest of "${extension.name}" has no problems.`
        : `${count(findings.length, 'finding')} in "${extension.name}" (${extension.path}):`;
    return {
      text: truncateAnswer(
        [heading, ...findings.map(findingLine), '', manifest].join('\n'),
        'read manifest.json itself',
      ),
      structured: { findings, manifest: truncateAnswer(manifest, 'read manifest.json itself') },
    };
  },
});

async function folderToCheck(path: string, workspace: Workspace): Promise<{ name: string; path: string }> {
  const folder = await extensionFolder(path, workspace);
  await requireInnerLinks(folder, workspace);
  return { name: basename(folder), path: folder };
}

function chromeFinding({ message, manifestKey }: ExtensionProblem): Finding {
  return {
    severity: 'warning',
    at: manifestKey || 'manifest.json',
    problem: `Chrome: ${message}`,
    fix: 'Fix or remove it.',
  };
}

function findingLine({ severity, at, problem, fix }: Finding): string {
  return `${severity} ${at}: ${problem} Fix: ${fix}`;
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
    pageId: z.int().min(1).optional().describe('Default: the selected page'),
  }),
  output: z.object({ url: z.string(), scripts: z.array(injectionRow) }),
  annotations: { readOnlyHint: true },
  async handler({ extensionId: id, url: address, pageId }, { browser, signal }) {
    const page = address === undefined ? browser.page(pageId) : undefined;
    const url = parseUrl(address ?? page?.url() ?? '');
    const { name, injections } = await withCdpScope(browser.browser, signal, async (scope) => {
      const extension = await findExtension(scope, id);
      const info = await (await ExtensionsPage.open(scope)).info(id);
      return { name: extension.name, injections: await predictInjections(scope, extension, { info, url }) };
    });
    const running = page && browser.activity.scriptsIn(page.frames.mainId, id);
    const scripts = injections.map((injection) => injectionRowOf(injection, running));
    const lines = scripts.map(describeInjection);
    if (lines.length === 0)
      lines.push(`"${name}" has no content scripts, neither in its manifest nor registered with chrome.scripting.`);
    return {
      text: [`Content scripts of "${name}" at ${locationOf(url, page)}:`, ...lines].join('\n'),
      structured: { url: url.href, scripts },
    };
  },
});

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
