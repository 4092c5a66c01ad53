import { z } from 'zod';
import { findEnabledExtension, type Extension, findExtension } from '../browser/extensions/installedExtensions.js';
import {
  ExtensionStorage,
  storageAreas,
  type StorageEntry,
  type StorageReading,
} from '../browser/extensions/chromeStorage.js';
import { withCdpScope } from '../browser/cdp/cdpScope.js';
import { ToolError } from '../errors/errors.js';
import { truncateAnswer } from './answers.js';
import { defineTool, type BrowserToolContext } from './defineTool.js';
import { bytesText, listingInput, listingOutput, pageOf, oneLine, timeText } from './pagination.js';
import { count, extensionIdInput } from './extensionFields.js';
import type { RingBufferEntry } from '../browser/collectors/ringBuffer.js';
import type { StorageChange } from '../browser/extensions/storageChangeLog.js';

/** Longest shown value, in characters: in a list of all keys, and with `keys`. */
const shortLength = 500;
const fullLength = 32_000;

const storageArea = z.enum(storageAreas).default('local').describe('Of chrome.storage');

const storageOutput = z.object({
  area: z.enum(storageAreas),
  keys: z.int(),
  bytes: z.number().nullable(),
  omitted: z.int(),
  /** Values are JSON; `value` is cut if `length` is greater. */
  entries: z.array(z.object({ key: z.string(), value: z.string(), length: z.int() })),
});

export const inspectExtensionStorageTool = defineTool({
  name: 'inspect_extension_storage',
  title: 'Read extension storage',
  group: 'extension',
  needs: 'extension',
  description:
    'Read chrome.storage of an extension without starting its service worker. Changes: watch_extension_storage',
  input: z.strictObject({
    extensionId: extensionIdInput,
    area: storageArea,
    keys: z.array(z.string()).optional().describe('Default: all, with long values cut'),
  }),
  output: storageOutput,
  annotations: { readOnlyHint: true },
  async handler({ extensionId: id, area: name, keys }, context) {
    const { extension, value: reading } = await withStorage(context, id, (storage) =>
      storage.read(name, { keys, maxLength: keys === undefined ? shortLength : fullLength }),
    );
    return {
      text: describeStorage(`storage.${name} of "${extension.name}": ${sizeOf(reading)}`, reading, keys ?? []),
      structured: { area: name, ...reading },
    };
  },
});

export const setExtensionStorageTool = defineTool({
  name: 'set_extension_storage',
  title: 'Change extension storage',
  group: 'extension',
  needs: 'extension',
  description: 'Change chrome.storage of an extension: clear, then remove, then set; answers the new values',
  input: z.strictObject({
    extensionId: extensionIdInput,
    area: storageArea,
    set: z.looseObject({}).optional().describe('Values by key'),
    remove: z.array(z.string()).optional().describe('Keys'),
    clear: z.boolean().optional().describe('First remove all keys'),
  }),
  output: storageOutput,
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true },
  async handler({ extensionId: id, area: name, set = {}, remove = [], clear = false }, context) {
    const touched = [...new Set([...remove, ...Object.keys(set)])];
    if (touched.length === 0 && !clear) throw new ToolError('Nothing to change: pass set, remove or clear.');
    const { extension, value: reading } = await withStorage(context, id, async (storage) => {
      await storage.write(name, { set, remove, clear });
      return storage.read(name, { keys: touched, maxLength: fullLength });
    });
    return {
      text: describeStorage(`storage.${name} of "${extension.name}" has ${sizeOf(reading)} now.`, reading, touched),
      structured: { area: name, ...reading },
    };
  },
});

function withStorage<T>(
  { browser, signal }: BrowserToolContext,
  id: string,
  use: (storage: ExtensionStorage) => Promise<T>,
): Promise<{ extension: Extension; value: T }> {
  return withCdpScope(browser.browser, signal, async (scope) => {
    const extension = await findEnabledExtension(scope, id);
    return { extension, value: await use(await ExtensionStorage.open(scope, extension)) };
  });
}

function describeStorage(title: string, { entries, omitted }: StorageReading, keys: readonly string[]): string {
  const missing = omitted > 0 ? [] : keys.filter((key) => !entries.some((entry) => entry.key === key));
  const lines = [
    title,
    ...entries.map(storageEntryLine),
    ...missing.map((key) => `${oneLine(key, 500)}: not set`),
    ...(omitted > 0 ? [`${count(omitted, 'key')} left out: pass the keys you need.`] : []),
  ];
  return truncateAnswer(lines.join('\n'), 'pass the keys you need');
}

function sizeOf({ keys, bytes }: StorageReading): string {
  return `${count(keys, 'key')}${bytes === null ? '' : `, ${bytesText(bytes)}`}`;
}

function storageEntryLine({ key, value, length }: StorageEntry): string {
  return `${oneLine(key, 500)} = ${value}${length > value.length ? `… (${length} characters)` : ''}`;
}

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
  title: 'Watch extension storage',
  group: 'extension',
  needs: 'extension',
  description:
    'Changes of chrome.storage since the first call; starts no service worker. Values: inspect_extension_storage',
  input: z.strictObject({
    extensionId: extensionIdInput,
    area: z.enum(['local', 'session', 'sync', 'managed']).optional().describe('Default: all'),
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
          `Watching the storage of "${extension.name}" from now on. Earlier changes, and changes during a reload, are not recorded.`,
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
  return `#${id} ${timeText(at)} ${area} ${oneLine(key, 500)}: ${oneLine(oldValue, storageChangeChars)} -> ${oneLine(newValue, storageChangeChars)}`;
}

function structuredStorageChange({ id, value }: RingBufferEntry<StorageChange>): z.input<typeof storageChangeRow> {
  const { at, area, key, oldValue, newValue } = value;
  return {
    ...{ id, at: new Date(at).toISOString(), area, key },
    ...(oldValue === undefined ? {} : { oldValue: oneLine(oldValue, storageChangeChars) }),
    ...(newValue === undefined ? {} : { newValue: oneLine(newValue, storageChangeChars) }),
  };
}
