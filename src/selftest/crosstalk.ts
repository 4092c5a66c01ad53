import { basename } from 'node:path';
import type { CheckClient, Fixtures } from './checkContext.js';

const uuidPattern = /[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[\da-f]{4}-[\da-f]{12}/g;
/** Loopback addresses with a port, and the folder of a run. */
const locationPattern = /127\.0\.0\.1:\d+|greenroom-selftest-\w{6}/g;

/**
 * Finds answers to one session that have data of another. The marks of a session are the address of its page server, its
 * folder, and every random word that it sends. A mark of one session in an answer to another is crosstalk.
 */
export class CrosstalkDetector {
  /** Answers that were searched. */
  answers = 0;
  readonly #owners = new Map<string, number>();
  readonly #crosstalk: string[] = [];

  get marks(): number {
    return this.#owners.size;
  }

  /** One line for each mark of another session in an answer. */
  get crosstalk(): readonly string[] {
    return this.#crosstalk;
  }

  /** Wraps the client of session `index`: records marks in its requests, searches its answers. */
  watch(client: CheckClient, index: number, { pages, folder }: Fixtures): CheckClient {
    this.#mark(`${new URL(pages).host} ${basename(folder)}`, index);
    return {
      callTool: async (request, schema, options) => {
        this.#mark(JSON.stringify(request), index);
        return this.#inspect(await client.callTool(request, schema, options), index, request.name);
      },
      listResources: async (...request) =>
        this.#inspect(await client.listResources(...request), index, 'resources/list'),
      readResource: async (...request) => this.#inspect(await client.readResource(...request), index, 'resources/read'),
    };
  }

  /** The first session to send a mark owns it: no answer can have it before. */
  #mark(sent: string, index: number): void {
    for (const mark of marksIn(sent)) if (!this.#owners.has(mark)) this.#owners.set(mark, index);
  }

  #inspect<Answer>(answer: Answer, index: number, what: string): Answer {
    this.answers += 1;
    for (const mark of marksIn(JSON.stringify(answer))) {
      const owner = this.#owners.get(mark);
      if (owner !== undefined && owner !== index)
        this.#crosstalk.push(`session ${index}: ${what} shows ${mark}, which is session ${owner}'s`);
    }
    return answer;
  }
}

function marksIn(text: string): Set<string> {
  return new Set([...text.matchAll(uuidPattern), ...text.matchAll(locationPattern)].map(([mark]) => mark));
}
