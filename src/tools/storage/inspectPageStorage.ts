import { z } from 'zod';
import { PageStorage, type StoredCookie, type StoredItem } from '../../browser/page/pageStorage.js';
import { ToolError } from '../../errors/errors.js';
import { truncateAnswer } from '../answers.js';
import { definePageTool } from '../defineTool.js';
import { oneLine } from '../pagination.js';
import { area, areas, type PageStorageArea } from '../storageTools.js';

const maxRows = 200;
const maxRowChars = 200;
const maxValueBytes = 32 * 1024;

const storageItem = z.object({ area, name: z.string(), value: z.string(), hidden: z.boolean(), attributes: z.string() });
type StorageItem = z.infer<typeof storageItem>;

export const inspectPageStorageTool = definePageTool({
  name: 'inspect_page_storage',
  group: 'storage',
  description: 'Cookies (HttpOnly too), localStorage and sessionStorage of a page; secrets are hidden',
  input: z.strictObject({
    area: area.optional().describe('Default: all'),
    name: z.string().optional().describe('Only this item, uncut'),
    showSecrets: z.boolean().optional(),
  }),
  output: z.object({ origin: z.string(), total: z.int(), items: z.array(storageItem) }),
  annotations: { readOnlyHint: true },
  async handler({ area: asked, name, showSecrets = false }, { page }) {
    const storage = new PageStorage(page);
    const wanted = asked === undefined ? areas : [asked];
    const all = (await Promise.all(wanted.map((one) => readArea(storage, one)))).flat();
    const found = name === undefined ? all : itemsNamed(all, name);
    const cut = name === undefined ? cutToRow : cutToValue;
    const items = found.slice(0, maxRows).map((one) => cut(showSecrets ? one : hideSecret(one)));
    return {
      text: describeItems(storage.origin, wanted, items, found.length),
      structured: { origin: storage.origin, total: found.length, items },
    };
  },
});

async function readArea(storage: PageStorage, one: PageStorageArea): Promise<StorageItem[]> {
  if (one === 'cookies') return (await storage.cookies()).map(cookieItem);
  const items = await storage.items(one);
  return items.map(({ name, value }) => ({ area: one, name, value, hidden: false, attributes: '' }));
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

function itemsNamed(items: readonly StorageItem[], name: string): readonly StorageItem[] {
  const found = items.filter((one) => one.name === name);
  if (found.length > 0) return found;
  const names = oneLine(items.map((one) => `${one.area} ${one.name}`).join(', ') || 'none', 1_000);
  throw new ToolError(`Nothing is stored as ${JSON.stringify(name)}. Stored: ${names}.`);
}

const secretName = /token|secret|auth|session|passw|credential|jwt|csrf|xsrf|api.?key|\bsid\b/i;
/** An HttpOnly cookie is one that its site keeps even from its own scripts. */
function isSecret({ name, value, attributes }: StorageItem): boolean {
  return attributes.includes(' HttpOnly') || secretName.test(name) || hasJsonWebToken(value);
}

/** A JSON Web Token: header and payload are JSON objects in base64, with a dot after each. */
export function hasJsonWebToken(value: string): boolean {
  if (!value.includes('.eyJ')) return false;
  let header = -1;
  for (const { 0: word, index } of value.matchAll(/[\w-]+/g)) {
    const end = index + word.length;
    if (header === index && /^eyJ./.test(word) && value[end] === '.') return true;
    header = value[end] === '.' && /(?:^|-)eyJ./.test(word) ? end + 1 : -1;
  }
  return false;
}

function hideSecret(one: StorageItem): StorageItem {
  return isSecret(one) ? { ...one, value: '', hidden: true } : one;
}

function cutToRow(one: StorageItem): StorageItem {
  return { ...one, value: oneLine(one.value, maxRowChars) };
}

function cutToValue(one: StorageItem): StorageItem {
  return { ...one, value: truncateAnswer(one.value, 'evaluate_script can read a part', maxValueBytes) };
}

function describeItems(origin: string, wanted: readonly PageStorageArea[], items: readonly StorageItem[], total: number): string {
  const lines = wanted.flatMap((one) => {
    const own = items.filter((candidate) => candidate.area === one);
    return own.length === 0 ? [`${one}: nothing`] : [`${one}:`, ...own.map(itemLine)];
  });
  const hidden = items.filter((one) => one.hidden).length;
  return truncateAnswer(
    [
      `Storage of ${origin}`,
      ...lines,
      ...(hidden > 0 ? [`${hidden} hidden: showSecrets shows them.`] : []),
      ...(total > items.length ? [`${total - items.length} more of ${total} left out: ask for one by name.`] : []),
    ].join('\n'),
    'ask for one area, or one item by name',
  );
}

function itemLine({ name, value, hidden, attributes }: StorageItem & StoredItem): string {
  const shown = hidden ? '(hidden)' : value;
  return `  ${oneLine(name, maxRowChars)} = ${shown}${attributes === '' ? '' : ` [${attributes}]`}`;
}
