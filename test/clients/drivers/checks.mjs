/**
 * What every client is asked to do. A driver says how its client does it: `connect` resolves with `list`, `call` and
 * `close`; what a client cannot do it leaves out. The result is one line of JSON on standard output.
 */

const { MCP_URL, PAGE_URL } = process.env;

/** The address of the server under test, with another route. */
export const serverAddress = (route) => new URL(route, MCP_URL).href;

/** An answer of MCP as the checks read it. */
export function answerOf({ content = [], isError = false }) {
  return {
    text: content.map(({ text = '' }) => text).join('\n'),
    hasPicture: content.some(
      ({ type, data, mimeType = '' }) => type === 'image' && data && mimeType.startsWith('image/'),
    ),
    isError,
  };
}

function expect(condition, complaint) {
  if (!condition) throw new Error(complaint);
}

/** Longer than any client may take to hear of a cancellation, and much shorter than the call that it cancels. */
const freeWithinMs = 5_000;

const checks = {
  async lists({ client }) {
    const names = await client.list();
    for (const name of ['new_page', 'take_screenshot', 'click'])
      expect(
        names.some((listed) => listed.endsWith(name)),
        `${name} is not among ${names.length} tools`,
      );
  },
  async calls({ client }) {
    const { text } = await client.call('new_page', { url: PAGE_URL });
    expect(text.includes('Opened page'), `new_page answered ${text}`);
  },
  async picture({ client }) {
    const { hasPicture, text } = await client.call('take_screenshot', {});
    expect(hasPicture, `there is no picture, only ${text}`);
  },
  async error({ client }) {
    const { text, isError } = await client.call('click', { uid: '1_999' }).catch((error) => ({
      text: String(error),
      isError: true,
    }));
    expect(isError && text.includes('1_999'), `the error is ${text}`);
  },
  async progress({ client }) {
    const reported = [];
    await client.call('take_heapsnapshot', {}, { onProgress: (progress) => reported.push(progress) });
    expect(reported.length > 0, 'nothing was reported');
  },
  async cancels({ client }) {
    const controller = new AbortController();
    const call = client.call('wait_for', { text: ['never'], timeout: 60_000 }, { signal: controller.signal });
    const outcome = call.then(
      ({ text }) => `it was answered: ${text}`,
      () => undefined,
    );
    setTimeout(() => controller.abort(), 500);
    expect((await outcome) === undefined, String(await outcome));
    const startedAt = Date.now();
    const { text } = await client.call('evaluate_script', { function: '() => 6 * 7' });
    expect(text.includes('42'), `the page answered ${text}`);
    expect(Date.now() - startedAt < freeWithinMs, `the page was held for ${Date.now() - startedAt} ms`);
  },
  async reconnects(state) {
    await state.client.close();
    state.client = await state.connect();
    const { text } = await state.client.call('list_pages', {});
    expect(text.length > 0, 'nothing came after the second connection');
  },
};

/**
 * A client that is served without a session (revision 2026-07-28) is listed `open_browser`. It does what its model would do:
 * opens a browser and names it in every call.
 */
async function withBrowser(client) {
  const names = await client.list();
  if (!names.some((name) => name.endsWith('open_browser'))) return client;
  const { text } = await client.call('open_browser', {});
  const [, browserId] = /browser_id[":\s]+([\w-]{16,})/.exec(text) ?? [];
  expect(browserId !== undefined, `open_browser answered ${text}`);
  return { ...client, call: (name, args, options) => client.call(name, { ...args, browser_id: browserId }, options) };
}

/** Runs the checks but for those that the client has no way to. */
export async function check(open, { cannot = [] } = {}) {
  const results = {};
  const connect = async () => withBrowser(await open());
  const state = { connect };
  try {
    state.client = await connect();
    for (const [name, run] of Object.entries(checks)) {
      if (cannot.includes(name)) continue;
      results[name] = await run(state).then(
        () => 'ok',
        (error) => String(error?.message ?? error).slice(0, 300),
      );
    }
  } catch (error) {
    results.connects = String(error?.stack ?? error).slice(0, 600);
  }
  report(results);
}

export function report(results) {
  // Some clients keep timers and processes that nothing ends.
  process.stdout.write(`\n${JSON.stringify({ results })}\n`, () => process.exit(0));
}
