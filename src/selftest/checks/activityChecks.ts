import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { assertIncludes, rowWith, type ToolReply, type CheckContext, type Check } from '../checkContext.js';

/** Makes a request with a random word, and finds it in the list. */
async function requestAndList(context: CheckContext): Promise<{ url: string; list: ToolReply }> {
  await context.openControls();
  const url = `${context.pages}/echo?word=${randomUUID()}`;
  await context.evaluate(`fetch("${url}", { method: "POST", body: "asked" }).then((response) => response.text())`);
  return { url, list: await context.call('list_network_requests', { url }) };
}

export const networkChecks: readonly Check[] = [
  {
    tool: 'list_network_requests',
    async run(context) {
      const { url, list } = await requestAndList(context);
      const row = rowWith(list, 'requests', { url });
      assert.equal(row['method'], 'POST');
      assert.equal(row['status'], 200);
      assertIncludes(list.text, url.slice(-36));
      return 'POST 200 /echo';
    },
  },
  {
    tool: 'get_network_request',
    async run(context) {
      const { url, list } = await requestAndList(context);
      const { id } = rowWith(list, 'requests', { url });
      const { text, data } = await context.call('get_network_request', { id });
      assertIncludes(JSON.stringify(data['responseBody']), url.slice(-36));
      assertIncludes(JSON.stringify(data['requestBody']), 'asked');
      assertIncludes(JSON.stringify(data['responseHeaders']), 'application/json');
      assertIncludes(text, 'asked');
      assertIncludes(text, url.slice(-36));
      return 'headers and both bodies';
    },
  },
  {
    tool: 'list_websocket_frames',
    async run(context) {
      await context.openControls();
      const word = randomUUID();
      const echoed = await context.evaluate(
        `new Promise((resolve) => {
          const socket = new WebSocket("${context.pages.replace('http', 'ws')}/socket");
          socket.onopen = () => socket.send("${word}");
          socket.onmessage = ({ data }) => { socket.close(); resolve(data); };
        })`,
      );
      assert.equal(echoed, word);
      const answer = await context.call('list_websocket_frames', { text: word });
      rowWith(answer, 'frames', { direction: 'sent', payload: word });
      rowWith(answer, 'frames', { direction: 'received', payload: word });
      assertIncludes(answer.text, word);
      return 'one frame sent, one received';
    },
  },
  {
    tool: 'mock_network',
    async run(context) {
      await context.openControls();
      const word = randomUUID();
      const fetched = `fetch("/echo?mocked").then(async (response) => response.status + " " + await response.text())`;
      const added = await context.call('mock_network', {
        action: 'add',
        url: '*/echo?mocked',
        status: 418,
        body: word,
      });
      assertIncludes(added.text, word);
      assert.equal(await context.evaluate(fetched), `418 ${word}`);
      rowWith(await context.call('mock_network', { action: 'list' }), 'rules', { url: '*/echo?mocked', hits: 1 });
      const cleared = await context.call('mock_network', { action: 'clear' });
      assert.deepEqual(cleared.data['rules'], []);
      assertIncludes(await context.evaluate(fetched), '200 ');
      return 'a request answered by a rule, and not after it was removed';
    },
  },
];

export const consoleChecks: readonly Check[] = [
  {
    tool: 'list_console_messages',
    async run(context) {
      await context.openControls();
      const word = randomUUID();
      await context.evaluate(`{ console.warn("${word}"); console.log("other"); }`);
      const answer = await context.call('list_console_messages', { text: word });
      const row = rowWith(answer, 'messages', { text: word });
      assert.equal(row['level'], 'warning');
      assertIncludes(answer.text, word);
      const nothing = await context.call('list_console_messages', { text: word, since: answer.data['cursor'] });
      assert.deepEqual(nothing.data['messages'], []);
      return 'one warning, then nothing new';
    },
  },
  {
    tool: 'get_console_message',
    async run(context) {
      await context.openControls();
      const word = randomUUID();
      await context.evaluate(`(function culprit() { console.error("${word}", { deep: 42 }); })()`);
      const list = await context.call('list_console_messages', { text: word });
      const { id } = rowWith(list, 'messages', { level: 'error' });
      const { text, data } = await context.call('get_console_message', { id });
      assertIncludes(JSON.stringify(data['args']), word);
      assertIncludes(JSON.stringify(data['args']), '42');
      assertIncludes(JSON.stringify(data['stack']), 'culprit');
      assertIncludes(text, word);
      return 'arguments and stack of an error';
    },
  },
];
