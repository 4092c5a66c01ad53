import { stat } from 'node:fs/promises';
import { z } from 'zod';
import { unpackExtension } from '../browser/extensions/extensionArchive.js';
import { download } from '../browser/extensions/download.js';
import { installExtension } from '../browser/extensions/extensionInstall.js';
import { withCdpScope } from '../browser/cdp/cdpScope.js';
import { ToolError } from '../errors/errors.js';
import { defineTool, type BrowserToolContext } from './defineTool.js';
import { requireInsideWorkspace, requireInnerLinks } from './workspace.js';
import { closedPagesDuring, describeClosedPages, extensionId } from './extensionFields.js';

const installInput = z.strictObject({
  path: z.string().min(1).optional().describe("Folder with manifest.json, on the server's disk"),
  archive: z.string().min(1).optional().describe('zip or crx, base64'),
  url: z.string().optional().describe('Of a zip or crx'),
});

type InstallArgs = z.output<typeof installInput>;

export const installExtensionTool = defineTool({
  name: 'install_extension',
  group: 'extension',
  needs: 'process',
  description: 'Install an extension from a folder, an archive or a url. The same one again is updated',
  input: installInput,
  output: z.object({
    id: extensionId,
    name: z.string(),
    version: z.string(),
    warnings: z.array(z.string()),
    /** Of this session: Chrome closes the pages of an extension that it loads again. */
    closedPages: z.array(z.string()),
  }),
  annotations: { readOnlyHint: false, idempotentHint: true },
  timeoutMs: 90_000,
  async handler(args, context) {
    const folder = await folderOf(args, context);
    context.progress(2, 3, 'Loading the extension');
    const { browser, signal } = context;
    const { value, closed } = await closedPagesDuring(browser, () =>
      withCdpScope(browser.browser, signal, (scope) => installExtension(scope, folder)),
    );
    const { extension, warnings } = value;
    const { id, name, version } = extension;
    const lines = [
      `Installed "${name}" ${version} as ${id}.`,
      ...warnings.map((warning) => `Warning: ${warning}`),
      ...describeClosedPages(browser, closed),
    ];
    return {
      text: lines.join('\n'),
      structured: { id, name, version, warnings: [...warnings], closedPages: closed.map(({ url }) => url) },
    };
  },
});

async function folderOf({ path, archive, url }: InstallArgs, context: BrowserToolContext): Promise<string> {
  if ([path, archive, url].filter((source) => source !== undefined).length !== 1) {
    throw new ToolError('Pass exactly one of path, archive and url.');
  }
  if (path !== undefined) {
    const folder = await existingFolder(await requireInsideWorkspace(path, context.workspace));
    if (context.browser.mode === 'launch') await requireInnerLinks(folder, context.workspace);
    return folder;
  }
  const { signal, browser } = context;
  context.progress(0, 3, 'Fetching the archive');
  const bytes = url === undefined ? decodeArchive(archive ?? '') : await download(url, signal);
  context.progress(1, 3, 'Unpacking the archive');
  return unpackExtension(bytes, await browser.folder(), signal);
}

async function existingFolder(path: string): Promise<string> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory() === true) return path;
  throw new ToolError(
    found === undefined
      ? `There is no folder ${path} on the server's disk. Pass the folder with manifest.json.`
      : `${path} is no folder. Pass the folder with manifest.json, or a zip or crx as archive.`,
  );
}

/** The decoder of Node skips what is no base64. */
export function decodeArchive(text: string): Buffer {
  const end = text.search(/[^\w+/\s-]/);
  const padding = end === -1 ? '' : text.slice(end).replace(/\s+/g, '');
  if (['', '=', '=='].includes(padding)) return Buffer.from(text, 'base64');
  throw new ToolError('archive is no base64. Encode the bytes of the zip or crx file.');
}
