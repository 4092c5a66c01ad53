import { z } from 'zod';
import type { RingBufferEntry } from '../../browser/collectors/ringBuffer.js';
import { findExtension } from '../../browser/extensions/installedExtensions.js';
import type { StorageChange } from '../../browser/extensions/storageChangeLog.js';
import { withCdpScope } from '../../browser/cdp/cdpScope.js';
import { ToolError } from '../../errors/errors.js';
import { defineTool } from '../defineTool.js';
import { listingInput, listingOutput, pageOf, oneLine, timeText } from '../pagination.js';
import { extensionId } from '../extensionFields.js';

const storageChangeChars = 500;

const storageChangeRow = z.object({
  id: z.int(),
  at: z.string(),
  area: z.string(),
  key: z.string(),
  oldValue: z.string().optional(),
  newValue: z.string().optional(),
});

export const watchStorageTool = defineTool({
  name: 'watch_extension_storage',
  group: 'extension',
  needs: 'extension',
  description: 'Changes of chrome.storage since the first call; wakes no worker',
  input: z.strictObject({
    extensionId,
    area: z.enum(['local', 'session', 'sync', 'managed']).optional(),
    ...listingInput,
  }),
  output: z.object({ wasWatching: z.boolean(), changes: z.array(storageChangeRow), ...listingOutput }),
  annotations: { readOnlyHint: true },
  async handler({ extensionId: id, area, ...args }, { browser, signal }) {
    const extension = await withCdpScope(browser.browser, signal, (scope) => findExtension(scope, id));
    if (!extension.enabled) throw new ToolError(`"${extension.name}" is disabled. Call set_extension_enabled first.`);
    const { storage } = browser.activity;
    const wasWatching = await storage.watch(id, signal);
    const listing = pageOf(
      storage.read(args.since),
      (change) => change.extensionId === id && (area === undefined || change.area === area),
      args,
    );
    const lines = wasWatching
      ? []
      : [
          `Watching the storage of "${extension.name}" from now on; earlier changes, or while it was reloaded, are not seen.`,
        ];
    if (wasWatching && listing.entries.length === 0) lines.push('No changes.');
    return {
      text: [...lines, ...listing.entries.map(storageChangeLine), '', listing.footer].join('\n'),
      structured: { wasWatching, changes: listing.entries.map(structuredStorageChange), ...listing.fields },
    };
  },
});

function storageChangeLine({ id, value }: RingBufferEntry<StorageChange>): string {
  const { at, area, key, oldValue = '(none)', newValue = '(removed)' } = value;
  return `#${id} ${timeText(at)} ${area} ${key}: ${oneLine(oldValue, storageChangeChars)} -> ${oneLine(newValue, storageChangeChars)}`;
}

function structuredStorageChange({ id, value }: RingBufferEntry<StorageChange>): z.input<typeof storageChangeRow> {
  const { at, area, key, oldValue, newValue } = value;
  return {
    ...{ id, at: new Date(at).toISOString(), area, key },
    ...(oldValue === undefined ? {} : { oldValue: oneLine(oldValue, storageChangeChars) }),
    ...(newValue === undefined ? {} : { newValue: oneLine(newValue, storageChangeChars) }),
  };
}
