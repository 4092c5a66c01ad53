import { z } from 'zod';
import { ExtensionsPage, findExtension } from '../../browser/extensions/installedExtensions.js';
import { predictInjections, type Injection } from '../../browser/extensions/injection.js';
import { withCdpScope } from '../../browser/cdp/cdpScope.js';
import type { SessionPage } from '../../browser/page/sessionPage.js';
import { ToolError } from '../../errors/errors.js';
import { shortUrl } from '../answers.js';
import { defineTool } from '../defineTool.js';
import { extensionId } from '../extensionFields.js';

const injectionRow = z.object({
  name: z.string(),
  files: z.array(z.string()),
  runAt: z.string(),
  world: z.string(),
  allFrames: z.boolean(),
  expected: z.boolean(),
  /** Of a page: the script files of it that run there. */
  running: z.array(z.string()).optional(),
  reasons: z.array(z.string()),
});

type InjectionRow = z.infer<typeof injectionRow>;

export const checkInjectionTool = defineTool({
  name: 'check_content_script_injection',
  group: 'extension',
  needs: 'extension',
  description: 'Which content scripts match a page or URL, why not, and which run there',
  input: z.strictObject({
    extensionId,
    url: z.string().optional().describe('Instead of a page'),
    pageId: z.int().min(1).optional().describe('Default: the selected page'),
  }),
  output: z.object({ url: z.string(), scripts: z.array(injectionRow) }),
  annotations: { readOnlyHint: true },
  async handler({ extensionId: id, url: asked, pageId }, { browser, signal }) {
    const page = asked === undefined ? browser.page(pageId) : undefined;
    const url = parseUrl(asked ?? page?.url() ?? '');
    const { name, injections } = await withCdpScope(browser.browser, signal, async (scope) => {
      const extension = await findExtension(scope, id);
      const info = await (await ExtensionsPage.open(scope)).info(id);
      return { name: extension.name, injections: await predictInjections(scope, extension, { info, url }) };
    });
    const running = page && browser.activity.scriptsIn(page.frames.mainId, id);
    const scripts = injections.map((injection) => injectionRowOf(injection, running));
    const lines = scripts.map(describeInjection);
    if (lines.length === 0) lines.push(`"${name}" has no content scripts, neither in its manifest nor registered.`);
    return {
      text: [`Content scripts of "${name}" at ${locationOf(url, page)}:`, ...lines].join('\n'),
      structured: { url: url.href, scripts },
    };
  },
});

function parseUrl(text: string): URL {
  if (URL.canParse(text)) return new URL(text);
  throw new ToolError(`"${text}" is no URL. Write it whole, as https://example.com/path.`);
}

function locationOf(url: URL, page: SessionPage | undefined): string {
  return `${shortUrl(url.href)}${page === undefined ? '' : ` (page ${page.id})`}`;
}

function injectionRowOf({ script, expected, reasons }: Injection, running: readonly string[] | undefined): InjectionRow {
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
