import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import type { Call } from './browserPeers.js';

/** A role and a name as snapshots write them: `button "Save"`. */
export type Target = string;

/** How one server is asked for what an agent does. A call that names an element is given its uid. */
interface Dialect {
  readonly snapshot: Call;
  /** What has changed since the last snapshot; all of it where a server has no such thing. */
  readonly changes: Call;
  readonly requests: Call;
  readonly errors: Call;
  readonly dialog: Call;
  navigate(url: string): Call;
  uid(text: string, target: Target): string | undefined;
  find(text: string): Call;
  click(uid: string, target: Target): Call;
  hover(uid: string, target: Target): Call;
  fill(fields: readonly { readonly uid: string; readonly target: Target; readonly value: string }[]): Call;
  /** Into a field that suggests. */
  type(uid: string, text: string): readonly Call[];
  press(key: string): Call;
  waitFor(text: string): Call;
  evaluate(code: string): Call;
  request(list: string, address: string): Call;
  /** The calls that read a window, by what the click that opened it answered. */
  window(answer: string): readonly Call[];
}

const call = (name: string, args: Record<string, unknown> = {}): Call => ({ name, arguments: args });
const group = (text: string, pattern: string): string | undefined => new RegExp(pattern).exec(text)?.[1];
const quoted = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
const numberIn = (text: string, pattern: string): number => Number(group(text, pattern) ?? Number.NaN);

const greenroom: Dialect = {
  snapshot: call('take_snapshot'),
  changes: call('take_snapshot', { changes: true }),
  requests: call('list_network_requests'),
  errors: call('list_console_messages', { types: ['error'] }),
  dialog: call('handle_dialog', { action: 'accept' }),
  navigate: (url) => call('navigate_page', { url }),
  uid: (text, target) => group(text, `uid=(\\S+) ${quoted(target)}`),
  find: (text) => call('find_in_snapshot', { text }),
  click: (uid) => call('click', { uid }),
  hover: (uid) => call('hover', { uid }),
  fill: (fields) => call('fill_form', { elements: fields.map(({ uid, value }) => ({ uid, value })) }),
  type: (uid, value) => [call('fill', { uid, value })],
  press: (key) => call('press_key', { key }),
  waitFor: (text) => call('wait_for', { text }),
  evaluate: (code) => call('evaluate_script', { function: code }),
  request: (list, address) =>
    call('get_network_request', { id: numberIn(list, String.raw`#(\d+) [^\n]*${quoted(address)}`) }),
  window: (answer) => [call('take_snapshot', { pageId: group(answer, String.raw`\b(p\d+|\d+)\b: `) })],
};

const onPage = { pageId: 1 };
const devtools: Dialect = {
  snapshot: call('take_snapshot', onPage),
  changes: call('take_snapshot', onPage),
  requests: call('list_network_requests', onPage),
  errors: call('list_console_messages', { ...onPage, types: ['error'] }),
  dialog: call('handle_dialog', { ...onPage, action: 'accept' }),
  navigate: (url) => call('navigate_page', { ...onPage, type: 'url', url }),
  uid: greenroom.uid,
  find: () => devtools.snapshot,
  click: (uid) => call('click', { ...onPage, uid }),
  hover: (uid) => call('hover', { ...onPage, uid }),
  fill: (fields) => call('fill_form', { ...onPage, elements: fields.map(({ uid, value }) => ({ uid, value })) }),
  type: (uid, text) => [call('click', { ...onPage, uid }), call('type_text', { ...onPage, text })],
  press: (key) => call('press_key', { ...onPage, key }),
  waitFor: (text) => call('wait_for', { ...onPage, text: [text] }),
  evaluate: (code) => call('evaluate_script', { ...onPage, function: code }),
  request: (list, address) =>
    call('get_network_request', {
      ...onPage,
      reqid: numberIn(list, String.raw`reqid=(\d+) [^\n]*${quoted(address)}`),
    }),
  window: () => [call('list_pages'), call('take_snapshot', { pageId: 2 })],
};

const elementOf = (uid: string, target: Target): Record<string, unknown> => ({ element: target, target: uid });
const fieldTypes: Readonly<Record<string, string>> = { textbox: 'textbox', combobox: 'combobox', checkbox: 'checkbox' };
const playwright: Dialect = {
  snapshot: call('browser_snapshot'),
  changes: call('browser_snapshot'),
  requests: call('browser_network_requests', { static: false }),
  errors: call('browser_console_messages', { level: 'error' }),
  dialog: call('browser_handle_dialog', { accept: true }),
  navigate: (url) => call('browser_navigate', { url }),
  uid: (text, target) => group(text, String.raw`${quoted(target)}[^\n]*?\[ref=(\w+)\]`),
  find: (text) => call('browser_find', { text }),
  click: (uid, target) => call('browser_click', elementOf(uid, target)),
  hover: (uid, target) => call('browser_hover', elementOf(uid, target)),
  fill: (fields) =>
    call('browser_fill_form', {
      fields: fields.map(({ uid, target, value }) => ({
        ...{ name: group(target, '"(.*)"'), target: uid, value },
        type: fieldTypes[target.split(' ')[0] ?? ''],
      })),
    }),
  type: (target, text) => [call('browser_type', { target, text })],
  press: (key) => call('browser_press_key', { key }),
  waitFor: (text) => call('browser_wait_for', { text }),
  evaluate: (code) => call('browser_evaluate', { function: code }),
  request: (list, address) =>
    call('browser_network_request', {
      index: numberIn(list, String.raw`(\d+)\. [^\n]*${quoted(address)}`),
      part: 'response-body',
    }),
  window: () => [call('browser_tabs', { action: 'select', index: 1 }), call('browser_snapshot')],
};

const dialects: Readonly<Record<string, Dialect>> = {
  greenroom,
  'chrome-devtools-mcp': devtools,
  '@playwright/mcp': playwright,
};

/** Does what a task says, in the dialect of one server, and counts the tokens of each call and its answer. */
export class Agent {
  calls = 0;
  tokens = 0;
  readonly #client: Client;
  readonly #dialect: Dialect;
  readonly #count: (text: string) => number;
  /** The answers so far, the last one first: an agent takes uids from them. */
  readonly #seen: string[] = [];

  /** @param count The tokens of a text. */
  constructor(server: string, client: Client, count: (text: string) => number) {
    const dialect = dialects[server];
    if (dialect === undefined) throw new Error(`No dialect for ${server}.`);
    this.#client = client;
    this.#dialect = dialect;
    this.#count = count;
  }

  open = (url: string): Promise<string> => this.#ask(this.#dialect.navigate(url));
  read = (): Promise<string> => this.#ask(this.#dialect.snapshot);
  readChanges = (): Promise<string> => this.#ask(this.#dialect.changes);
  find = (text: string): Promise<string> => this.#ask(this.#dialect.find(text));
  press = (key: string): Promise<string> => this.#ask(this.#dialect.press(key));
  waitFor = (text: string): Promise<string> => this.#ask(this.#dialect.waitFor(text));
  evaluate = (code: string): Promise<string> => this.#ask(this.#dialect.evaluate(code));
  acceptDialog = (): Promise<string> => this.#ask(this.#dialect.dialog);
  requests = (): Promise<string> => this.#ask(this.#dialect.requests);
  errors = (): Promise<string> => this.#ask(this.#dialect.errors);
  click = (target: Target): Promise<string> => this.#ask(this.#dialect.click(this.#uid(target), target));
  hover = (target: Target): Promise<string> => this.#ask(this.#dialect.hover(this.#uid(target), target));

  fill(fields: readonly (readonly [Target, string])[]): Promise<string> {
    return this.#ask(this.#dialect.fill(fields.map(([target, value]) => ({ uid: this.#uid(target), target, value }))));
  }

  /** The details of the request whose address has this in it. */
  async request(address: string): Promise<string> {
    return this.#ask(this.#dialect.request(await this.requests(), address));
  }

  readWindowOf = (answer: string): Promise<string> => this.#askEach(this.#dialect.window(answer));
  type = (target: Target, text: string): Promise<string> => this.#askEach(this.#dialect.type(this.#uid(target), text));

  #uid(target: Target): string {
    for (const text of this.#seen) {
      const uid = this.#dialect.uid(text, target);
      if (uid !== undefined) return uid;
    }
    throw new Error(`No ${target} was seen.`);
  }

  async #askEach(calls: readonly Call[]): Promise<string> {
    let text = '';
    for (const each of calls) text = await this.#ask(each);
    return text;
  }

  async #ask(asked: Call): Promise<string> {
    const { content, isError } = await this.#client.callTool(asked, undefined, { timeout: 60_000 });
    const text = (content as readonly { readonly text?: string }[]).map((part) => part.text ?? '').join('\n');
    if (isError === true) throw new Error(`${asked.name}: ${text.slice(0, 500)}`);
    this.calls += 1;
    this.tokens += this.#count(`${asked.name} ${JSON.stringify(asked.arguments)}`) + this.#count(text);
    this.#seen.unshift(text);
    return text;
  }
}
