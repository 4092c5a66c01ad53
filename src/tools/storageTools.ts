import type { FileHandle } from 'node:fs/promises';
import { basename } from 'node:path';
import { z } from 'zod';
import { decodedText, inSlices } from '../browser/patterns/slices.js';
import {
  PageStorage,
  parseState,
  readState,
  restoreState,
  type StoredCookie,
  type StoredEntry,
  type StoredItem,
} from '../browser/page/pageStorage.js';
import { ToolError, messageOf } from '../errors/errors.js';
import { definePageTool, type PageToolContext, type ResourceLink, type Tool } from './defineTool.js';
import { oneLine } from './pagination.js';
import { requireInsideWorkspace, openInWorkspace, type Workspace } from './workspace.js';
import { hasJsonWebToken } from '../text.js';
import { truncateAnswer } from './answers.js';

export const areas = ['cookies', 'local', 'session'] as const;
export const area = z.enum(areas);
type PageStorageArea = z.infer<typeof area>;

/** Two areas of 5 MB and cookies: what one site may store. */
const maxStateBytes = 12 * 1024 ** 2;

const cookieAttributes = z.strictObject({
  domain: z.string().optional().describe('Default: the host alone'),
  path: z.string().optional().describe('Below which it is sent'),
  expires: z.number().positive().optional().describe('Unix seconds; default: with the browser'),
  httpOnly: z.boolean().optional().describe('Not for scripts'),
  secure: z.boolean().optional().describe('HTTPS only'),
  sameSite: z.enum(['Strict', 'Lax', 'None']).optional().describe('Whether other sites send it'),
});

const changeInput = z.strictObject({
  action: z.enum(['set', 'remove', 'clear', 'save', 'restore']).describe('save, restore: all areas'),
  area: area.optional().describe('For set and remove; for clear, default: all'),
  items: z.record(z.string(), z.string()).optional().describe('For set: values by name'),
  names: z.array(z.string()).min(1).optional().describe('For remove: names'),
  cookie: cookieAttributes.optional().describe('For set: attributes of cookies'),
  file: z
    .string()
    .optional()
    .describe('For save: an encrypted file; default: a resource, in JSON. For restore: one of these, or JSON'),
});

type ChangeArgs = z.output<typeof changeInput>;

interface ChangeResult {
  /** Items set, removed, cleared, saved or restored. */
  readonly count: number;
  readonly what: string;
  readonly file?: string;
  readonly resources?: readonly ResourceLink[];
}

const setPageStorageTool = definePageTool({
  name: 'set_page_storage',
  title: 'Change page storage',
  group: 'storage',
  description:
    'Change, save or restore cookies, localStorage and sessionStorage of a page. chrome.storage: set_extension_storage',
  input: changeInput,
  output: z.object({ origin: z.string(), count: z.int(), file: z.string().optional() }),
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true },
  async handler(args, context) {
    const storage = new PageStorage(context.page);
    const { count, what, file, resources = [] } = await actions[args.action](storage, args, context);
    return {
      text: `${what} (${storage.origin}).`,
      structured: { origin: storage.origin, count, ...(file !== undefined && { file }) },
      resources,
    };
  },
});

type StorageAction = (storage: PageStorage, args: ChangeArgs, context: PageToolContext) => Promise<ChangeResult>;

const actions: Readonly<Record<ChangeArgs['action'], StorageAction>> = {
  async set(storage, args) {
    const [where, items] = [requireArgument(args, 'area'), Object.entries(requireArgument(args, 'items'))];
    for (const [name, value] of items) {
      if (where === 'cookies') await storage.setCookie({ name, value }, args.cookie);
      else await storage.setItem(where, { name, value });
    }
    return { count: items.length, what: `Set in ${where}: ${namesOf(items.map(([name]) => name))}` };
  },

  async remove(storage, args) {
    const [where, names] = [requireArgument(args, 'area'), requireArgument(args, 'names')];
    const stored = await storedEntries(storage, where);
    const missing = await inSlices(withoutNames(names, stored));
    if (missing.length > 0) {
      throw new ToolError(
        `${where} has no ${namesOf(missing)}, but ${namesOf(firstNames(stored))}. Nothing was removed.`,
      );
    }
    if (where === 'cookies') await deleteCookies(storage, new Set(names));
    else for (const name of names) await storage.removeItem(where, name);
    return { count: names.length, what: `Removed from ${where}: ${namesOf(names)}` };
  },

  async clear(storage, args) {
    let count = 0;
    for (const where of args.area === undefined ? areas : [args.area]) {
      count += (await storedEntries(storage, where)).length;
      if (where === 'cookies') await storage.deleteCookies(await storage.cookies());
      else await storage.clearItems(where);
    }
    return { count, what: `Cleared ${args.area ?? areas.join(', ')}: ${count} items` };
  },

  async save(storage, { file }, { workspace, resources }) {
    const { count, parts: data } = await readState(storage);
    if (file === undefined) {
      const link = await resources.add({ name: 'storage.json', mimeType: 'application/json', data });
      return { count, what: `Saved ${count} items as ${link.uri}`, file: link.uri, resources: [link] };
    }
    // The file has login cookies: it is readable by the server's user alone, and encrypted.
    const path = await requireInsideWorkspace(file, workspace);
    const encrypted = await workspace.encryption.encrypt(data, { owner: workspace.owner, name: basename(path) });
    await withFile(path, workspace, 'write', (handle) => handle.writeFile(encrypted));
    return { count, what: `Saved ${count} items in ${path}, encrypted for this server and user`, file: path };
  },

  async restore(storage, args, context) {
    const file = requireArgument(args, 'file');
    const count = await restoreState(storage, await parseState(await stateText(file, context), file));
    return { count, what: `Restored ${count} items from ${file}. Reload the page to let it see them`, file };
  },
};

function requireArgument<Name extends 'area' | 'items' | 'names' | 'file'>(
  args: ChangeArgs,
  name: Name,
): NonNullable<ChangeArgs[Name]> {
  const value = args[name];
  if (value === undefined) throw new ToolError(`${args.action} needs the argument ${name}.`);
  return value;
}

async function storedEntries(storage: PageStorage, where: PageStorageArea): Promise<readonly StoredEntry[]> {
  return where === 'cookies' ? (await storage.cookies()).map(({ name }) => [name]) : storage.items(where);
}

/** The names that no entry has. */
function* withoutNames(names: readonly string[], entries: readonly StoredEntry[]): Generator<undefined, string[]> {
  const missing = new Set(names);
  for (const [index, [name = '']] of entries.entries()) {
    missing.delete(name);
    if (index % entriesPerStep === 0) yield;
  }
  return [...missing];
}

const entriesPerStep = 1_000;

const firstNames = (entries: readonly StoredEntry[]): string[] =>
  entries.slice(0, maxRows).map(([name = '']) => name.slice(0, 1_000));

async function deleteCookies(storage: PageStorage, names: ReadonlySet<string>): Promise<void> {
  await storage.deleteCookies((await storage.cookies()).filter(({ name }) => names.has(name)));
}

const textIn = (content: Buffer): Promise<string> => inSlices(decodedText(new TextDecoder(), content));

async function stateText(file: string, { workspace, resources }: PageToolContext): Promise<string> {
  if (file.startsWith('greenroom://')) return textIn(await resources.read(file));
  return withFile(file, workspace, 'read', async (handle) => {
    const { size } = await handle.stat();
    if (size > maxStateBytes)
      throw new ToolError(
        `${file} has ${size} bytes, too many for a saved storage state. Pass a file of action: save.`,
      );
    const content = await handle.readFile();
    const { encryption, owner } = workspace;
    if (!encryption.isEncrypted(content)) return textIn(content);
    const name = basename(await requireInsideWorkspace(file, workspace));
    return textIn(await encryption.decrypt(content, { owner, name }));
  });
}

async function withFile<T>(
  path: string,
  workspace: Workspace,
  to: 'read' | 'write',
  use: (handle: FileHandle) => Promise<T>,
): Promise<T> {
  try {
    const handle = await openInWorkspace(path, workspace, to);
    try {
      return await use(handle);
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error instanceof ToolError) throw error;
    throw new ToolError(`${path}: ${messageOf(error)}`, { cause: error });
  }
}

const namesOf = (names: readonly string[]): string => oneLine(names.join(', ') || 'nothing', 1_000);

const maxRows = 200;
const maxRowChars = 200;
const maxValueBytes = 32 * 1024;

const storageItem = z.object({
  area,
  name: z.string(),
  value: z.string(),
  hidden: z.boolean(),
  attributes: z.string(),
});
type StorageItem = z.infer<typeof storageItem>;

const inspectPageStorageTool = definePageTool({
  name: 'inspect_page_storage',
  title: 'Read page storage',
  group: 'storage',
  description:
    'Read cookies (HttpOnly too), localStorage and sessionStorage of a page; secrets are hidden. chrome.storage: inspect_extension_storage',
  input: z.strictObject({
    area: area.optional().describe('Default: all'),
    name: z.string().optional().describe('Only this item, in full'),
    showSecrets: z.boolean().optional().describe('Show the values of tokens, too'),
  }),
  output: z.object({ origin: z.string(), total: z.int(), items: z.array(storageItem) }),
  annotations: { readOnlyHint: true },
  async handler({ area: onlyArea, name, showSecrets = false }, { page, signal }) {
    const storage = new PageStorage(page);
    const wanted = onlyArea === undefined ? areas : [onlyArea];
    const areasRead = await Promise.all(wanted.map((each) => readArea(storage, each, name)));
    const total = areasRead.reduce((sum, { count }) => sum + count, 0);
    if (name !== undefined && total === 0) throw noSuchItem(name, areasRead);
    const cut = name === undefined ? cutToRow : cutToValue;
    const shown = areasRead.flatMap(({ items }) => items).slice(0, maxRows);
    const items = (showSecrets ? shown : await inSlices(hideSecrets(shown), signal)).map(cut);
    return {
      text: describeItems(storage.origin, wanted, items, total),
      structured: { origin: storage.origin, total, items },
    };
  },
});

interface AreaRead {
  readonly area: PageStorageArea;
  /** Of the items that were asked for. */
  readonly count: number;
  /** The first of them. */
  readonly items: readonly StorageItem[];
  /** The names of the first of all. */
  readonly names: readonly string[];
}

async function readArea(storage: PageStorage, area: PageStorageArea, name?: string): Promise<AreaRead> {
  if (area === 'cookies') {
    const cookies = await storage.cookies();
    const found = name === undefined ? cookies : cookies.filter((cookie) => cookie.name === name);
    return { area, count: found.length, items: found.map(cookieItem), names: cookies.map((cookie) => cookie.name) };
  }
  const entries = await storage.items(area);
  const found = name === undefined ? entries : entries.filter((entry) => entry[0] === name);
  const items = found.slice(0, maxRows).map(([itemName = '', value = '']) => ({
    ...{ area, name: itemName, value, hidden: false, attributes: '' },
  }));
  return { area, count: found.length, items, names: firstNames(entries) };
}

function cookieItem({ name, value, domain, path, expires, httpOnly, secure, sameSite }: StoredCookie): StorageItem {
  const attributes = [
    `${domain}${path}`,
    ...(expires === -1 ? ['session'] : [`until ${new Date(expires * 1000).toISOString()}`]),
    ...(httpOnly ? ['HttpOnly'] : []),
    ...(secure ? ['Secure'] : []),
    ...(sameSite ? [`SameSite=${sameSite}`] : []),
  ];
  return { area: 'cookies', name, value, hidden: false, attributes: attributes.join(' ') };
}

function noSuchItem(name: string, areasRead: readonly AreaRead[]): ToolError {
  const stored = areasRead.flatMap(({ area: of, names }) => names.map((each) => `${of} ${each}`));
  return new ToolError(
    `Nothing is stored as ${JSON.stringify(name)}. Stored: ${oneLine(stored.join(', ') || 'none', 1_000)}.`,
  );
}

const secretName = /token|secret|auth|session|passw|credential|jwt|csrf|xsrf|api.?key|\bsid\b/i;
/** An HttpOnly cookie counts as a secret: its site hides it from its own scripts. */
function* isSecret({ name, value, attributes }: StorageItem): Generator<undefined, boolean> {
  return attributes.includes(' HttpOnly') || secretName.test(name) || (yield* hasJsonWebToken(value));
}

function* hideSecrets(items: readonly StorageItem[]): Generator<undefined, StorageItem[]> {
  const shown: StorageItem[] = [];
  for (const item of items) {
    shown.push((yield* isSecret(item)) ? { ...item, value: '', hidden: true } : item);
    yield;
  }
  return shown;
}

function cutToRow(item: StorageItem): StorageItem {
  return { ...item, value: oneLine(item.value, maxRowChars) };
}

function cutToValue(item: StorageItem): StorageItem {
  return { ...item, value: truncateAnswer(item.value, 'evaluate_script can read a part', maxValueBytes) };
}

function describeItems(
  origin: string,
  wanted: readonly PageStorageArea[],
  items: readonly StorageItem[],
  total: number,
): string {
  const lines = wanted.flatMap((each) => {
    const own = items.filter((candidate) => candidate.area === each);
    return own.length === 0 ? [`${each}: nothing`] : [`${each}:`, ...own.map(itemLine)];
  });
  const hidden = items.filter((item) => item.hidden).length;
  return truncateAnswer(
    [
      `Storage of ${origin}`,
      ...lines,
      ...(hidden > 0 ? [`${hidden} hidden: showSecrets shows them.`] : []),
      ...(total > items.length ? [`${total - items.length} more of ${total} left out: pass the name of one.`] : []),
    ].join('\n'),
    'pass area, or the name of one item',
  );
}

function itemLine({ name, value, hidden, attributes }: StorageItem & StoredItem): string {
  const shown = hidden ? '(hidden)' : value;
  return `  ${oneLine(name, maxRowChars)} = ${shown}${attributes === '' ? '' : ` [${attributes}]`}`;
}

export const storageTools: readonly Tool[] = [inspectPageStorageTool, setPageStorageTool];
