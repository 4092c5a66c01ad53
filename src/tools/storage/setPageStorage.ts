import type { FileHandle } from 'node:fs/promises';
import { z } from 'zod';
import { PageStorage } from '../../browser/page/pageStorage.js';
import { messageOf, ToolError } from '../../errors/errors.js';
import { definePageTool, type PageToolContext, type ResourceLink } from '../defineTool.js';
import { oneLine } from '../pagination.js';
import { requireInsideWorkspace, openInWorkspace, type Workspace } from '../workspace.js';
import { area, areas, type PageStorageArea } from '../storageTools.js';
import { parseState, readState, restoreState } from './storageState.js';

const maxStateBytes = 32 * 1024 ** 2;

const cookieAttributes = z.strictObject({
  domain: z.string().optional(),
  path: z.string().optional(),
  expires: z.number().positive().optional().describe('Unix seconds'),
  httpOnly: z.boolean().optional(),
  secure: z.boolean().optional(),
  sameSite: z.enum(['Strict', 'Lax', 'None']).optional(),
});

const changeInput = z.strictObject({
  action: z.enum(['set', 'remove', 'clear', 'save', 'restore']),
  area: area.optional().describe('For set, remove; clear without it: all'),
  items: z.record(z.string(), z.string()).optional().describe('For set'),
  names: z.array(z.string()).min(1).optional().describe('For remove'),
  cookie: cookieAttributes.optional().describe('Attributes of set cookies'),
  file: z.string().optional().describe('JSON for save (default: a resource) and restore (path or resource uri)'),
});

type ChangeArgs = z.output<typeof changeInput>;

interface ChangeResult {
  /** Items set, removed, cleared, saved or restored. */
  readonly count: number;
  readonly what: string;
  readonly file?: string;
  readonly resources?: readonly ResourceLink[];
}

export const setPageStorageTool = definePageTool({
  name: 'set_page_storage',
  group: 'storage',
  description: "Change, save or restore a page's cookies, localStorage and sessionStorage",
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
    const stored = await storedNames(storage, where);
    const missing = names.filter((name) => !stored.includes(name));
    if (missing.length > 0) {
      throw new ToolError(`${where} has no ${namesOf(missing)}, but ${namesOf(stored)}. Nothing was removed.`);
    }
    await removeFrom(storage, where, names);
    return { count: names.length, what: `Removed from ${where}: ${namesOf(names)}` };
  },

  async clear(storage, args) {
    let count = 0;
    for (const where of args.area === undefined ? areas : [args.area]) {
      const names = await storedNames(storage, where);
      await removeFrom(storage, where, names);
      count += names.length;
    }
    return { count, what: `Cleared ${args.area ?? areas.join(', ')}: ${count} items` };
  },

  async save(storage, { file }, { workspace, resources }) {
    const state = await readState(storage);
    const count =
      state.cookies.length + state.origins.flatMap((one) => [one.localStorage, one.sessionStorage]).flat().length;
    const data = JSON.stringify(state, null, 2);
    if (file === undefined) {
      const link = await resources.add({ name: 'storage.json', mimeType: 'application/json', data });
      return { count, what: `Saved ${count} items as ${link.uri}`, file: link.uri, resources: [link] };
    }
    // Whoever has the file is logged in as this page is.
    await withFile(file, workspace, 'write', (handle) => handle.writeFile(data));
    const path = await requireInsideWorkspace(file, workspace);
    return { count, what: `Saved ${count} items in ${path}`, file: path };
  },

  async restore(storage, args, context) {
    const file = requireArgument(args, 'file');
    const count = await restoreState(storage, parseState(await stateText(file, context), file));
    return { count, what: `Restored ${count} items from ${file}. Reload the page to let it see them`, file };
  },
};

function requireArgument<Name extends 'area' | 'items' | 'names' | 'file'>(args: ChangeArgs, name: Name): NonNullable<ChangeArgs[Name]> {
  const value = args[name];
  if (value === undefined) throw new ToolError(`${args.action} needs the argument ${name}.`);
  return value;
}

async function storedNames(storage: PageStorage, where: PageStorageArea): Promise<string[]> {
  const items = where === 'cookies' ? await storage.cookies() : await storage.items(where);
  return [...new Set(items.map(({ name }) => name))];
}

async function removeFrom(storage: PageStorage, where: PageStorageArea, names: readonly string[]): Promise<void> {
  if (where === 'cookies') {
    const cookies = await storage.cookies();
    return storage.deleteCookies(cookies.filter(({ name }) => names.includes(name)));
  }
  for (const name of names) await storage.removeItem(where, name);
}

async function stateText(file: string, { workspace, resources }: PageToolContext): Promise<string> {
  if (file.startsWith('greenroom://')) return (await resources.read(file)).toString('utf8');
  return withFile(file, workspace, 'read', async (handle) => {
    const { size } = await handle.stat();
    if (size > maxStateBytes) throw new ToolError(`${file} has ${size} bytes: that is no saved storage.`);
    return handle.readFile('utf8');
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
    return await use(handle).finally(() => handle.close());
  } catch (error) {
    if (error instanceof ToolError) throw error;
    throw new ToolError(`${path}: ${messageOf(error)}`, { cause: error });
  }
}

const namesOf = (names: readonly string[]): string => oneLine(names.join(', ') || 'nothing', 1_000);
