import { z } from 'zod';
import { findEnabledExtension, type Extension } from '../browser/extensions/installedExtensions.js';
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
import { bytesText } from './pagination.js';
import { count, extensionId } from './extensionFields.js';

/** Of one value: in a list of all, and where keys are named. */
const shortLength = 500;
const fullLength = 32_000;

const storageArea = z.enum(storageAreas).default('local');

const storageOutput = z.object({
  area: z.enum(storageAreas),
  keys: z.int(),
  bytes: z.number().nullable(),
  omitted: z.int(),
  /** Values are JSON, cut to `value` when `length` says that there is more. */
  entries: z.array(z.object({ key: z.string(), value: z.string(), length: z.int() })),
});

export const inspectExtensionStorageTool = defineTool({
  name: 'inspect_extension_storage',
  group: 'extension',
  needs: 'extension',
  description: 'Read chrome.storage without waking the service worker',
  input: z.strictObject({
    extensionId,
    area: storageArea,
    keys: z.array(z.string()).optional().describe('Default: all, cut short'),
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
  group: 'extension',
  needs: 'extension',
  description: 'Change chrome.storage: clear, then remove, then set; answers what is there then',
  input: z.strictObject({
    extensionId,
    area: storageArea,
    set: z.looseObject({}).optional(),
    remove: z.array(z.string()).optional(),
    clear: z.boolean().optional(),
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

function describeStorage(title: string, { entries, omitted }: StorageReading, asked: readonly string[]): string {
  const missing = omitted > 0 ? [] : asked.filter((key) => !entries.some((entry) => entry.key === key));
  const lines = [
    title,
    ...entries.map(storageEntryLine),
    ...missing.map((key) => `${key}: not set`),
    ...(omitted > 0 ? [`${count(omitted, 'key')} left out: name the keys you need.`] : []),
  ];
  return truncateAnswer(lines.join('\n'), 'name the keys you need');
}

function sizeOf({ keys, bytes }: StorageReading): string {
  return `${count(keys, 'key')}${bytes === null ? '' : `, ${bytesText(bytes)}`}`;
}

function storageEntryLine({ key, value, length }: StorageEntry): string {
  return `${key} = ${value}${length > value.length ? `… (${length} characters)` : ''}`;
}
