import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { decodeArchive, download, unpackExtension } from '../browser/extensions/extensionArchive.js';
import {
  hasWorker,
  installExtension,
  loadAgain,
  reloadExtension,
  requireManifest,
  setExtensionEnabled,
} from '../browser/extensions/extensionInstall.js';
import { withCdpScope, type CdpScope } from '../browser/cdp/cdpScope.js';
import { ToolError } from '../errors/errors.js';
import { defineTool, type BrowserToolContext } from './defineTool.js';
import { requireInnerLinks, requireNoDownload } from './workspace.js';
import {
  closedPagesDuring,
  describePages,
  describeReload,
  extensionFolder,
  extensionId,
  extensionIdInput,
  count,
  workerState,
  describeSelectionAfter,
  freePages,
} from './extensionFields.js';
import { betweenLoads } from '../browser/extensions/fileAccess.js';
import { runningContexts } from '../browser/extensions/liveContexts.js';
import {
  listExtensions,
  type Extension,
  findExtension,
  uninstallExtension,
} from '../browser/extensions/installedExtensions.js';
import { WorkerMonitor } from '../browser/extensions/serviceWorkers.js';
import { oneLine } from './pagination.js';
import { shortUrl } from './answers.js';

const installInput = z.strictObject({
  path: z.string().min(1).optional().describe("Folder with manifest.json, on the server's disk"),
  archive: z.string().min(1).optional().describe('zip or crx file, in base64'),
  url: z.string().optional().describe('Address of a zip or crx file'),
});

type InstallArgs = z.output<typeof installInput>;

export const installExtensionTool = defineTool({
  name: 'install_extension',
  title: 'Install extension',
  group: 'extension',
  needs: 'process',
  description:
    'Install an extension from a folder, archive or URL; replaces it if installed. After a change in its folder: reload_extension',
  input: installInput,
  output: z.object({
    id: extensionId,
    name: z.string(),
    version: z.string(),
    warnings: z.array(z.string()),
    /** Pages of this session: Chrome closes the pages of an extension when it reloads it. */
    closedPages: z.array(z.string()),
  }),
  annotations: { readOnlyHint: false, idempotentHint: true },
  timeoutMs: 90_000,
  check: async (args, context) => requireManifest(await folderOf(args, context)),
  async handler(args, context) {
    const folder = await folderOf(args, context);
    context.progress(2, 3, 'Loading the extension');
    const { browser, signal } = context;
    const { value, ...changes } = await closedPagesDuring(context, () =>
      withCdpScope(browser.browser, signal, async (scope) => {
        const before = await listExtensions(scope);
        const installed = await installExtension(scope, folder);
        await browser.activity.captureWorker(scope, installed.extension.id);
        const { id: sameId, path } = installed.extension;
        return { ...installed, replaced: before.find((other) => other.id === sameId && other.path !== path) };
      }),
    );
    const { warnings, limits, isTheme, replaced, extension } = value;
    const { id, name, version } = extension;
    const lines = [
      isTheme
        ? `Installed the theme "${name}" ${version} as ${id}. No other tool is about themes; installing another replaces it.`
        : `Installed "${name}" ${version} as ${id}.`,
      ...(replaced ? [`It replaces ${replaced.version} from ${replaced.path}, which has the same key.`] : []),
      ...warnings.map((warning) => `Warning: ${oneLine(warning, 1_000)}`),
      ...limits,
      ...describePages(browser, changes),
    ];
    return {
      text: lines.join('\n'),
      structured: { id, name, version, warnings: [...warnings], closedPages: changes.closed.map(({ url }) => url) },
    };
  },
});

/** Of a call that is checked first: fetched once. */
const archives = new WeakMap<InstallArgs, Buffer>();

async function folderOf(args: InstallArgs, context: BrowserToolContext): Promise<string> {
  const { path, archive, url } = args;
  if ([path, archive, url].filter((source) => source !== undefined).length !== 1)
    throw new ToolError('Pass exactly one of path, archive and url.');
  if (path !== undefined) {
    const folder = await requireNoDownload(await extensionFolder(path, context.workspace), context.workspace);
    if (context.browser.mode === 'launch') await requireInnerLinks(folder, context.workspace);
    return folder;
  }
  const { signal, browser } = context;
  context.progress(0, 3, 'Fetching the archive');
  const fetched = archives.get(args) ?? (url === undefined ? decodeArchive(archive ?? '') : undefined);
  const bytes = fetched ?? (await download(url ?? '', signal, browser.addresses.rules));
  archives.set(args, bytes);
  context.progress(1, 3, 'Unpacking the archive');
  return betweenLoads(browser.browser, signal, async () => unpackExtension(bytes, await browser.folder(), signal));
}

const extensionRow = z.object({
  id: extensionId,
  name: z.string(),
  version: z.string(),
  enabled: z.boolean(),
  path: z.string(),
  serviceWorker: workerState,
  /** Chrome dropped the service worker of the manifest because its first start failed. */
  workerFailed: z.boolean(),
  contexts: z.number().int(),
});

type ExtensionRow = z.infer<typeof extensionRow>;

export const listExtensionsTool = defineTool({
  name: 'list_extensions',
  title: 'List extensions',
  group: 'extension',
  needs: 'browser',
  description: 'List unpacked extensions: id, version, folder, state of the service worker',
  input: z.strictObject({}),
  output: z.object({ extensions: z.array(extensionRow) }),
  annotations: { readOnlyHint: true },
  async handler(_args, { browser, signal }) {
    const extensions = await withCdpScope(browser.browser, signal, extensionRows);
    const text =
      extensions.length === 0
        ? 'No extension is installed. Call install_extension.'
        : [`${count(extensions.length, 'extension')}:`, ...extensions.map(extensionLine)].join('\n');
    return { text, structured: { extensions } };
  },
});

async function extensionRows(scope: CdpScope): Promise<ExtensionRow[]> {
  const [extensions, watch] = await Promise.all([listExtensions(scope), WorkerMonitor.open(scope)]);
  const targets = await scope.targets();
  return Promise.all(
    extensions.map(async (extension) => ({
      ...extension,
      serviceWorker: watch.state(extension.id),
      workerFailed: watch.state(extension.id) === 'none' && (await hasWorker(extension)),
      contexts: (await runningContexts(targets, extension)).length,
    })),
  );
}

function extensionLine({
  id,
  name,
  version,
  enabled,
  path,
  serviceWorker,
  workerFailed,
  contexts,
}: ExtensionRow): string {
  const state = enabled ? 'enabled' : 'disabled';
  const none = workerFailed
    ? 'its service worker failed to start (get_extension_runtime_errors says why)'
    : 'no service worker';
  const worker = serviceWorker === 'none' ? none : `service worker ${serviceWorker}`;
  return `${id} "${name}" ${version} ${state}, ${worker}, ${count(contexts, 'context')}, ${path}`;
}

export const reloadExtensionTool = defineTool({
  name: 'reload_extension',
  title: 'Reload extension',
  group: 'extension',
  needs: 'extension',
  description: 'Load the code of an extension again from its folder; names the pages that still run the old code',
  input: z.strictObject({
    extensionId: extensionIdInput,
    reloadPages: z.boolean().optional().describe('Load those pages again'),
  }),
  output: z.object({
    extensionId,
    version: z.string(),
    previousVersion: z.string(),
    warnings: z.array(z.string()),
    closedPages: z.array(z.string()),
    stalePages: z.array(z.string()),
    /** Pages with content scripts of the old code: to be reloaded. */
    staleContentScripts: z.array(z.object({ pageId: z.int(), url: z.string() })),
  }),
  annotations: { readOnlyHint: false, idempotentHint: true },
  async handler({ extensionId: id, reloadPages = false }, context) {
    const { browser, signal } = context;
    const { value, ...changes } = await closedPagesDuring(context, () =>
      withCdpScope(browser.browser, signal, async (scope) => {
        const extension = await findExtension(scope, id);
        return {
          previousVersion: extension.version,
          reloading: await reloadExtension(scope, extension, browser.pages()),
        };
      }),
    );
    const { previousVersion, reloading } = value;
    const { extension, warnings, closed, stale } = reloading;
    const loaded = reloadPages ? await loadAgain(reloading.stalePages, signal) : [];
    const stalePages = reloading.stalePages.filter((page) => !loaded.includes(page));
    return {
      text: [
        describeReload({ ...reloading, stalePages }, previousVersion),
        ...loaded.map((page) => `Loaded page ${page.id} again: ${shortUrl(page.url())}`),
        ...describeSelectionAfter(browser, changes),
        ...(await freePages(context)),
      ].join('\n'),
      structured: {
        extensionId: id,
        version: extension.version,
        previousVersion,
        warnings: [...warnings],
        closedPages: closed.map(({ url }) => url),
        stalePages: stale.map(({ url }) => url),
        staleContentScripts: stalePages.map((page) => ({ pageId: page.id, url: page.url() })),
      },
    };
  },
});

export const setExtensionEnabledTool = defineTool({
  name: 'set_extension_enabled',
  title: 'Enable or disable extension',
  group: 'extension',
  needs: 'extension',
  description: 'Enable or disable an extension; its storage stays',
  input: z.strictObject({ extensionId: extensionIdInput, enabled: z.boolean().describe('false: disable') }),
  output: z.object({ extensionId, enabled: z.boolean(), before: z.boolean(), warnings: z.array(z.string()) }),
  annotations: { readOnlyHint: false, idempotentHint: true },
  async handler({ extensionId: id, enabled: wanted }, context) {
    const { browser, signal } = context;
    const { before, after } = await withCdpScope(browser.browser, signal, async (scope) => {
      const extension = await findExtension(scope, id);
      const same = { extension, warnings: [], isTheme: false };
      return {
        before: extension.enabled,
        after: extension.enabled === wanted ? same : await setExtensionEnabled(scope, id, wanted),
      };
    });
    const { extension, warnings } = after;
    const { name, enabled } = extension;
    const state = enabled ? 'enabled' : 'disabled';
    const effects = enabled
      ? 'Open pages get its content scripts when they are reloaded.'
      : 'Its pages were closed and its service worker stopped.';
    const first = before === enabled ? `"${name}" was ${state} already.` : `"${name}" is ${state} now. ${effects}`;
    const freed = enabled ? [] : await freePages(context);
    return {
      text: [first, ...freed, ...warnings.map((warning) => `Warning: ${oneLine(warning, 1_000)}`)].join('\n'),
      structured: { extensionId: id, enabled, before, warnings: [...warnings] },
    };
  },
});

export const uninstallExtensionTool = defineTool({
  name: 'uninstall_extension',
  title: 'Uninstall extension',
  group: 'extension',
  needs: 'extension',
  description: 'Remove an extension and its storage; its folder stays. To keep the storage: set_extension_enabled',
  input: z.strictObject({ extensionId: extensionIdInput }),
  output: z.object({ extensionId, name: z.string(), left: z.array(z.string()) }),
  annotations: { readOnlyHint: false, destructiveHint: true },
  async handler({ extensionId: id }, context) {
    const { browser, signal } = context;
    const { extension, left } = await withCdpScope(browser.browser, signal, async (scope) => {
      const found = await findExtension(scope, id);
      await uninstallExtension(scope, found);
      const isOther = (other: Extension): boolean => other.id !== id;
      // One that loads itself again meanwhile is back.
      if (!(await listExtensions(scope)).every(isOther)) await uninstallExtension(scope, found);
      return { extension: found, left: (await listExtensions(scope)).filter(isOther) };
    });
    const { name, path } = extension;
    // An extension from an archive exists in the session's folder alone.
    if (dirname(path) === (await browser.folder())) await rm(path, { recursive: true, force: true });
    const rest = left.length === 0 ? 'No extension is' : count(left.length, 'extension');
    return {
      text: [`Uninstalled "${name}" with its storage. ${rest} left.`, ...(await freePages(context))].join('\n'),
      structured: { extensionId: id, name, left: left.map((other) => other.id) },
    };
  },
});
