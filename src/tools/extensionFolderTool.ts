import { z } from 'zod';
import { withCdpScope } from '../browser/cdp/cdpScope.js';
import type { RingBufferEntry } from '../browser/collectors/ringBuffer.js';
import type { FolderReload } from '../browser/extensions/folderWatches.js';
import { findExtension } from '../browser/extensions/installedExtensions.js';
import { ToolError } from '../errors/errors.js';
import { truncateAnswer, shortUrl } from './answers.js';
import { defineTool } from './defineTool.js';
import { count, describeReload, extensionFolder, extensionIdInput } from './extensionFields.js';
import { listingInput, timeText } from './pagination.js';

const reloadRow = z.object({
  id: z.int(),
  at: z.string(),
  changed: z.array(z.string()),
  version: z.string(),
  /** The error of Chrome, if it did not load the extension. */
  refusal: z.string().optional(),
  warnings: z.array(z.string()),
  closedPages: z.array(z.string()),
  /** Pages with content scripts of the old code. */
  staleContentScripts: z.array(z.object({ pageId: z.int(), url: z.string() })),
});

export const watchExtensionFolderTool = defineTool({
  name: 'watch_extension_folder',
  title: 'Watch extension folder',
  group: 'extension',
  needs: 'extension',
  description:
    'From the first call on, reload the extension whenever its folder changes; answers what each reload affected',
  input: z.strictObject({
    extensionId: extensionIdInput,
    reloadPages: z.boolean().optional().describe('Load pages with old content scripts again'),
    stop: z.boolean().optional().describe('End it'),
    since: listingInput.since,
  }),
  output: z.object({ watching: z.boolean(), reloads: z.array(reloadRow), cursor: z.string() }),
  annotations: { readOnlyHint: false },
  timeoutMs: 90_000,
  async handler({ extensionId: id, reloadPages, stop = false, since }, { browser, signal, workspace }) {
    const { folderWatches } = browser;
    const extension = await withCdpScope(browser.browser, signal, (scope) => findExtension(scope, id));
    await extensionFolder(extension.path, workspace);
    if (stop && folderWatches.read(id) === undefined)
      throw new ToolError(`The folder of "${extension.name}" is not watched.`);
    const isNew = !stop && (await folderWatches.start(extension, reloadPages, signal));
    const { entries, cursor, files, dropped } = folderWatches.read(id, since) ?? nothing;
    if (stop) folderWatches.stop(id);
    const heading = stop
      ? `Stopped watching ${extension.path}.`
      : `${isNew ? 'Watching' : 'Still watching'} ${extension.path} (${count(files, 'file')}).`;
    const promise = `"${extension.name}" is loaded again when a file in it changes; the next answer says so.`;
    const none = entries.length === 0 && !isNew ? ['No file has changed.'] : [];
    const lines = [
      heading,
      ...(isNew ? [promise] : none),
      ...(dropped > 0 ? [`${count(dropped, 'older reload')} dropped.`] : []),
      ...entries.map(reloadLines),
      ...(entries.length === 0 ? [] : [`Cursor: ${cursor}. Pass it as since to see only what is new.`]),
    ];
    return {
      text: truncateAnswer(lines.join('\n'), 'pass since'),
      structured: { watching: !stop, reloads: entries.map(structuredReload), cursor },
    };
  },
});

const nothing = { entries: [], cursor: '0-0', files: 0, dropped: 0 };

function reloadLines({ id, value }: RingBufferEntry<FolderReload>): string {
  const { at, changed, outcome, previousVersion, loaded } = value;
  const heading = `#${id} ${timeText(at)} changed: ${changed.join(', ')}`;
  if (typeof outcome === 'string') return `${heading}\n${outcome}`;
  const stalePages = outcome.stalePages.filter((page) => !loaded.includes(page));
  const again = loaded.map((page) => `Loaded page ${page.id} again: ${shortUrl(page.url())}`);
  return [heading, describeReload({ ...outcome, stalePages }, previousVersion), ...again].join('\n');
}

function structuredReload({ id, value }: RingBufferEntry<FolderReload>): z.input<typeof reloadRow> {
  const { at, changed, outcome, previousVersion, loaded } = value;
  const row = { id, at: new Date(at).toISOString(), changed: [...changed] };
  if (typeof outcome === 'string')
    return {
      ...row,
      version: previousVersion,
      refusal: outcome,
      warnings: [],
      closedPages: [],
      staleContentScripts: [],
    };
  const { extension, warnings, closed, stalePages } = outcome;
  return {
    ...row,
    version: extension.version,
    warnings: [...warnings],
    closedPages: closed.map(({ url }) => url),
    staleContentScripts: stalePages
      .filter((page) => !loaded.includes(page))
      .map((page) => ({ pageId: page.id, url: page.url() })),
  };
}
