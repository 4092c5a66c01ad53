import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { CallToolResultSchema, type CallToolResult } from '@modelcontextprotocol/sdk/types.js';
import type { CheckClient } from '../../../src/selftest/checkContext.js';

export interface MutatedClient {
  readonly client: CheckClient;
  /** How often the tool was called. */
  readonly calls: () => number;
  /** Time that goes on a minute with each call: there is nothing to wait for in a constant. */
  readonly now: () => number;
}

/** A session in which one tool answers a constant, whatever it is asked, and does nothing. */
export function mutate(client: Client, tool: string, constant: CallToolResult): MutatedClient {
  let calls = 0;
  return {
    client: interceptCalls(client, (name, ask) => {
      if (name !== tool) return ask();
      calls += 1;
      return Promise.resolve(constant);
    }),
    calls: () => calls,
    now: () => Date.now() + calls * 60_000,
  };
}

/** A session that keeps what one tool answers when it does not fail. */
export function recordAnswers(client: Client, tool: string, answers: CallToolResult[]): CheckClient {
  return interceptCalls(client, async (name, ask) => {
    const answer = CallToolResultSchema.parse(await ask());
    if (name === tool && answer.isError !== true) answers.push(answer);
    return answer;
  });
}

type Answer = ReturnType<Client['callTool']>;

function interceptCalls(client: Client, answer: (name: string, ask: () => Answer) => Answer): CheckClient {
  return {
    callTool: (params, ...rest) => answer(params.name, () => client.callTool(params, ...rest)),
    listResources: (...args) => client.listResources(...args),
    readResource: (...args) => client.readResource(...args),
  };
}
