import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { CallToolResultSchema, type CallToolResult } from '@modelcontextprotocol/sdk/types.js';

/** The official client with a session on a real server. The caller closes it. */
export class BrowsingClient {
  readonly client = new Client({ name: 'e2e', version: '1.0.0' });

  static async open(url: string, query = ''): Promise<BrowsingClient> {
    const client = new BrowsingClient();
    const address = new URL(`/sse${query}`, url);
    address.searchParams.set('structured', '1');
    await client.client.connect(new SSEClientTransport(address));
    return client;
  }

  async call(name: string, args: Record<string, unknown> = {}): Promise<CallToolResult> {
    return CallToolResultSchema.parse(await this.client.callTool({ name, arguments: args }));
  }

  /** The text of an answer that has to be a success. */
  async text(name: string, args: Record<string, unknown> = {}): Promise<string> {
    const result = await this.call(name, args);
    const text = textOf(result);
    if (result.isError === true) throw new Error(`${name}: ${text}`);
    return text;
  }

  /** The structured content of an answer that has to be a success. */
  async data(name: string, args: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
    const result = await this.call(name, args);
    if (result.isError === true) throw new Error(`${name}: ${textOf(result)}`);
    return result.structuredContent ?? {};
  }

  /** Evaluates a function in the selected page. */
  async evaluate(source: string): Promise<unknown> {
    return JSON.parse(String((await this.data('evaluate_script', { function: source }))['result']));
  }

  close(): Promise<void> {
    return this.client.close();
  }
}

export function textOf(result: CallToolResult): string {
  return result.content.map((part) => (part.type === 'text' ? part.text : '')).join('\n');
}
