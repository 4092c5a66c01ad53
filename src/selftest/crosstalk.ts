import { basename } from 'node:path';
import type { CheckClient, Fixtures } from './checkContext.js';

const uuidPattern = /[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[\da-f]{4}-[\da-f]{12}/g;
/** Addresses on a loopback port, and the folder of a run. */
const locationPattern = /127\.0\.0\.1:\d+|greenroom-selftest-\w{6}/g;

/**
 * Watches what several sessions of one server are answered at once. What one session sends marks it: the address of its
 * own page server, its own folder, every word that it made up. A mark of one in an answer to another is crosstalk.
 */
export class CrosstalkDetector {
  /** Answers that were looked through, and marks that they could have shown. */
  answers = 0;
  readonly #owners = new Map<string, number>();
  readonly #crosstalk: string[] = [];

  get marks(): number {
    return this.#owners.size;
  }

  /** One line for each mark that a session saw of another. */
  get crosstalk(): readonly string[] {
    return this.#crosstalk;
  }

  /** The client of session `index`, whose messages and answers are watched. */
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

  /** The first who sends a mark owns it: none comes into an answer before it was sent. */
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
