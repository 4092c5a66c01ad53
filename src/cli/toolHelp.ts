import { ConfigError } from '../config/config.js';
import { isObject } from '../mcp/protocol.js';
import { allTools } from '../tools/allTools.js';
import { compileCatalogue } from '../tools/catalogue.js';

const listings = () => compileCatalogue(allTools).select(['all']).listings;

/** `greenroom tools`: every tool with its title, in the groups of `--tools`. */
export function listTools(): string[] {
  const groups = [...new Set(allTools.map(({ group }) => group))];
  const width = Math.max(...allTools.map(({ name }) => name.length)) + 2;
  const lines = groups.flatMap((group) => [
    `${group}:`,
    ...allTools
      .filter((tool) => tool.group === group)
      .map(({ name, title = '' }) => `  ${name.padEnd(width)}${title}`.trimEnd()),
  ]);
  return [...lines, '', 'Arguments of a tool: greenroom tools NAME'];
}

/** `greenroom tools NAME --json`: the entry of `tools/list`. */
export function describeToolAsJson(name: string | undefined): string {
  const described = name === undefined ? listings() : findListing(name);
  return JSON.stringify(described, null, 2);
}

/** `greenroom tools NAME` and `greenroom call NAME --help`: what the tool does, its arguments, and an example. */
export function describeTool(name: string): string[] {
  const { description, inputSchema } = findListing(name);
  const fields = fieldsOf(inputSchema);
  const names = fields.map((field) => field.label);
  const width = Math.max(0, ...names.map((label) => label.length)) + 2;
  const group = allTools.find((tool) => tool.name === name)?.group ?? '';
  return [
    `${name} (group ${group})`,
    '',
    description,
    '',
    ...(fields.length === 0 ? ['No arguments.'] : ['Arguments:']),
    ...fields.map(({ label, text }) => `  ${label.padEnd(width)}${text}`.trimEnd()),
    '',
    `Example: greenroom call ${name}${exampleOf(name, fields)}`,
  ];
}

function findListing(name: string) {
  const listing = listings().find((each) => each.name === name);
  if (listing !== undefined) return listing;
  const words = name.split('_');
  const alike = allTools.filter((tool) => words.some((word) => word.length > 2 && tool.name.includes(word)));
  const hint =
    alike.length === 0 ? 'List them with: greenroom tools' : `Similar: ${alike.map((tool) => tool.name).join(', ')}.`;
  throw new ConfigError(`Unknown tool "${name}". ${hint}`);
}

interface Field {
  readonly label: string;
  readonly text: string;
  readonly isRequired: boolean;
  readonly schema: Readonly<Record<string, unknown>>;
}

function fieldsOf(schema: Readonly<Record<string, unknown>>): Field[] {
  const properties = isObject(schema['properties']) ? schema['properties'] : {};
  const required: readonly unknown[] = Array.isArray(schema['required']) ? schema['required'] : [];
  const fields = Object.entries(properties).map(([name, value]) => {
    const field = isObject(value) ? value : {};
    const isRequired = required.includes(name);
    const facts = [typeOf(field), isRequired ? 'required' : '', defaultOf(field), boundsOf(field)].filter(Boolean);
    const description = typeof field['description'] === 'string' ? field['description'] : '';
    return { label: name, isRequired, schema: field, text: `${facts.join(', ')}. ${description}`.trim() };
  });
  return fields.toSorted((a, b) => Number(b.isRequired) - Number(a.isRequired));
}

function typeOf(schema: Readonly<Record<string, unknown>>): string {
  const { enum: values, const: constant, type, items, anyOf, properties } = schema;
  if (Array.isArray(values)) return `one of ${values.map(String).join(', ')}`;
  if (constant !== undefined) return JSON.stringify(constant);
  if (Array.isArray(anyOf)) return [...new Set(anyOf.map((each) => typeOf(isObject(each) ? each : {})))].join(' or ');
  if (type === 'array') return `list of ${typeOf(isObject(items) ? items : {})}`;
  const names = isObject(properties) ? Object.keys(properties) : [];
  if (names.length > 0) return `object with ${names.join(', ')}`;
  return typeof type === 'string' ? type : 'any value';
}

const defaultOf = (schema: Readonly<Record<string, unknown>>): string =>
  schema['default'] === undefined ? '' : `default ${JSON.stringify(schema['default'])}`;

function boundsOf({ minimum, maximum }: Readonly<Record<string, unknown>>): string {
  const isBound = (value: unknown): value is number => typeof value === 'number' && Math.abs(value) < 1e12;
  if (isBound(minimum) && isBound(maximum)) return `${minimum} to ${maximum}`;
  if (isBound(maximum)) return `at most ${maximum}`;
  return isBound(minimum) ? `at least ${minimum}` : '';
}

/** Of tools that need one of several arguments, or more than those that are always required. */
const examples: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  navigate_page: { url: 'https://example.com' },
  wait_for: { text: ['Saved'] },
  resize_page: { width: 390, height: 844 },
  add_init_script: { script: 'window.flags = { beta: true }' },
  find_in_snapshot: { text: 'Save' },
  scroll: { direction: 'down' },
  pointer: { action: 'click', x: 120, y: 80 },
  press_key: { key: 'Control+A' },
  drop_on: { uid: '…', filePaths: ['notes.txt'] },
  mock_network: { action: 'add', url: '**/api/cart', status: 500 },
  search_sources: { text: 'addToCart' },
  set_breakpoint: { file: 'src/cart.ts', line: 12, log: 'total' },
  get_element_styles: { selector: 'button.primary', properties: ['color'] },
  list_event_listeners: { selector: 'button.primary' },
  query_heapsnapshot: { about: 'detached' },
  emulate: { colorScheme: 'dark', networkConditions: 'Slow 4G' },
  emulate_cpu: { cpuThrottlingRate: 4 },
  emulate_network: { networkConditions: 'Offline' },
  set_page_storage: { action: 'set', area: 'local', items: { theme: 'dark' } },
  set_credentials: { origin: 'https://example.com', username: '…', password: '…' },
  install_extension: { path: 'my-extension' },
  inspect_extension_manifest: { path: 'my-extension' },
  set_extension_permissions: { extensionId: '…', grant: ['tabs', 'https://example.com/*'] },
  set_extension_storage: { extensionId: '…', set: { theme: 'dark' } },
  fire_extension_event: { extensionId: '…', event: 'alarms.onAlarm' },
};

/** Arguments of the table, or a value of the right type for each required one. */
function exampleOf(name: string, fields: readonly Field[]): string {
  const example = examples[name] ?? exampleObject(fields);
  return Object.keys(example).length === 0 ? '' : ` '${JSON.stringify(example)}'`;
}

const exampleObject = (fields: readonly Field[]): Record<string, unknown> =>
  Object.fromEntries(
    fields.filter(({ isRequired }) => isRequired).map(({ label, schema }) => [label, exampleValue(label, schema)]),
  );

const exampleTypes: Readonly<Record<string, unknown>> = { number: 1, integer: 1, boolean: true };

function exampleValue(name: string, schema: Field['schema']): unknown {
  const { enum: values, const: constant, type, items } = schema;
  if (constant !== undefined) return constant;
  if (Array.isArray(values)) return values[0];
  if (type === 'array') return isObject(items) ? [exampleValue(name, items)] : [];
  if (type === 'object') return exampleObject(fieldsOf(schema));
  if (name === 'url') return 'https://example.com';
  if (name === 'function') return '() => document.title';
  return exampleTypes[String(type)] ?? '…';
}
