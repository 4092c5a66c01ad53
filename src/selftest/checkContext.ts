import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { CallToolResultSchema, type CallToolResult, type ResourceLink } from '@modelcontextprotocol/sdk/types.js';
import { z } from 'zod';

/** The answer of a tool. */
export interface ToolReply {
  readonly text: string;
  /** Its `structuredContent`. */
  readonly data: Readonly<Record<string, unknown>>;
  readonly images: readonly { readonly data: string; readonly mimeType: string }[];
  /** Resources, for results that are too big for an answer. */
  readonly links: readonly ResourceLink[];
}

export type ToolArguments = Readonly<Record<string, unknown>>;

/** The part of an MCP client that checks use. */
export type CheckClient = Pick<Client, 'callTool' | 'listResources' | 'readResource'>;

/** The sample pages, extension and folder of a run. */
export interface Fixtures {
  /** Origin of the sample pages, without a trailing slash. */
  readonly pages: string;
  /** A copy of the sample extension in a folder that the server may read. */
  readonly extension: string;
  /** A folder of this run, for files that tools read. */
  readonly folder: string;
}

const eventuallyTimeoutMs = 15_000;
/** Longer than the default of the tool: a browser that has just started may share its machine with many others. */
const navigationTimeoutMs = 60_000;

const rowsSchema = z.array(z.record(z.string(), z.unknown()));

/** One session of the server under test, with the sample pages. Valid for one run. */
export class CheckContext implements Fixtures {
  readonly pages: string;
  readonly extension: string;
  readonly folder: string;
  readonly #client: CheckClient;
  readonly #now: () => number;

  /** `now` returns the time in milliseconds. */
  constructor(client: CheckClient, fixtures: Fixtures, now = () => Date.now()) {
    this.#client = client;
    this.#now = now;
    this.pages = fixtures.pages;
    this.extension = fixtures.extension;
    this.folder = fixtures.folder;
  }

  /** Calls a tool. Throws its error text if it fails. */
  async call(tool: string, args: ToolArguments = {}): Promise<ToolReply> {
    const result = await this.#request(tool, args);
    const answer = toReply(result);
    assert.notEqual(result.isError, true, `${tool} failed: ${answer.text}`);
    assert.notEqual(answer.text, '', `${tool} answered no text`);
    assert.ok(result.structuredContent, `${tool} answered no structuredContent`);
    return answer;
  }

  /** The content of the one resource of an answer whose name ends with `suffix`; it must be in `resources/list`, too. */
  async readLink({ links }: ToolReply, suffix: string): Promise<Buffer> {
    const found = links.filter(({ name }) => name.endsWith(suffix));
    const uri = found[0]?.uri ?? '';
    assert.equal(found.length, 1, `one link to a ${suffix} in ${JSON.stringify(links)}`);
    const { resources } = await this.#client.listResources();
    assert.ok(resources.some((resource) => resource.uri === uri));
    const { contents } = await this.#client.readResource({ uri });
    const [content] = contents;
    assert.ok(content, `nothing in ${uri}`);
    return 'blob' in content ? Buffer.from(content.blob, 'base64') : Buffer.from(content.text);
  }

  /** Calls a tool that must fail, and returns its error text. */
  async expectError(tool: string, args: ToolArguments): Promise<string> {
    const result = await this.#request(tool, args);
    const { text } = toReply(result);
    assert.equal(result.isError, true, `${tool} should have failed but answered: ${text}`);
    return text;
  }

  /** Navigates the selected page. */
  navigate(url: string): Promise<ToolReply> {
    return this.call('navigate_page', { url, timeout: navigationTimeoutMs });
  }

  /** Opens the page with every control in the selected tab, marked with a random word, which is returned. */
  async openControls(): Promise<string> {
    const nonce = randomUUID().slice(0, 8);
    await this.navigate(`${this.pages}/selftest.html?nonce=${nonce}`);
    return nonce;
  }

  /** The uid of the element with this role and name in the selected page. */
  async uidOf(role: string, name: string): Promise<string> {
    const { text } = await this.call('take_snapshot');
    const line = text.split('\n').find((candidate) => candidate.includes(` ${role} "${name}"`));
    const uid = line && /uid=(\S+)/.exec(line)?.[1];
    assert.ok(uid, `no ${role} "${name}" in the snapshot:\n${text}`);
    return uid;
  }

  /** Evaluates in the selected page: the independent observation of what a tool claims. */
  async evaluate(expression: string): Promise<unknown> {
    const { data } = await this.call('evaluate_script', { function: `() => ${expression}` });
    return data['type'] === 'undefined' ? undefined : JSON.parse(String(data['result']));
  }

  status(): Promise<unknown> {
    return this.evaluate('document.querySelector("#status").textContent');
  }

  /** Repeats `ask` until its answer passes, since browser events arrive later. After 15 s throws the error of the last one. */
  async eventually(ask: () => Promise<ToolReply>, passes: (answer: ToolReply) => void): Promise<ToolReply> {
    const end = this.#now() + eventuallyTimeoutMs;
    for (;;) {
      const answer = await ask();
      try {
        passes(answer);
        return answer;
      } catch (error) {
        if (this.#now() > end) throw error;
        await delay(20);
      }
    }
  }

  async #request(name: string, args: ToolArguments): Promise<CallToolResult> {
    const result = await this.#client.callTool({ name, arguments: args }, CallToolResultSchema, { timeout: 120_000 });
    return CallToolResultSchema.parse(result);
  }
}

function toReply({ content, structuredContent }: CallToolResult): ToolReply {
  return {
    text: content.flatMap((part) => (part.type === 'text' ? [part.text] : [])).join('\n'),
    data: structuredContent ?? {},
    images: content.flatMap((part) => (part.type === 'image' ? [part] : [])),
    links: content.flatMap((part) => (part.type === 'resource_link' ? [part] : [])),
  };
}

/** The rows of a list in an answer. */
export function rowsOf(answer: ToolReply, key: string): Record<string, unknown>[] {
  const rows = rowsSchema.safeParse(answer.data[key]);
  assert.ok(rows.success, `structuredContent.${key} is not a list of rows`);
  return rows.data;
}

/** The one row that has these values. */
export function rowWith(answer: ToolReply, key: string, values: ToolArguments): Record<string, unknown> {
  const rows = rowsOf(answer, key);
  const found = rows.filter((row) => Object.entries(values).every(([name, value]) => row[name] === value));
  assert.equal(found.length, 1, `one row of ${key} with ${JSON.stringify(values)} in ${JSON.stringify(rows)}`);
  return found[0] ?? {};
}

export function assertIncludes(text: unknown, part: string): void {
  assert.ok(typeof text === 'string' && text.includes(part), `"${part}" in: ${String(text)}`);
}

/** Verifies one tool by its answer and by an independent observation. */
export interface Check {
  readonly tool: string;
  /** Returns in a few words what was observed. Throws if it is wrong. Depends on no other check. */
  run(context: CheckContext): Promise<string>;
}
