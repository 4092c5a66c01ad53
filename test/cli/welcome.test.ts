import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createProgressLine } from '../../src/cli/installBrowser.js';
import { welcomeLines } from '../../src/cli/serve.js';
import { defineConfig, type Options } from '../../src/config/config.js';
import { describePortInUse } from '../../src/server/portHolder.js';
import { mainProgram, root } from '../support/root.js';
import { startTestServer } from '../support/testServer.js';

const run = promisify(execFile);
const url = 'http://127.0.0.1:32122';
const welcome = (options: Options, executable: string | undefined = '/usr/bin/chromium'): string =>
  welcomeLines({ url, version: '1.2.3', config: defineConfig(options), executable }).join('\n');

describe('what a person reads when the server has started', () => {
  test('what to paste for three clients, the inspector, the folders and the browser', () => {
    const text = welcome({ workspace: ['/home/me/app'] });
    expect(text).toMatch(/^Greenroom 1\.2\.3 is ready at http:\/\/127\.0\.0\.1:32122\./);
    expect(text).toContain(`claude mcp add --transport http greenroom ${url}/mcp\n`);
    expect(text).toContain(`{"mcpServers":{"greenroom":{"url":"${url}/mcp"}}}  in .cursor/mcp.json`);
    expect(text).toContain(`code --add-mcp '{"name":"greenroom","type":"http","url":"${url}/mcp"}'`);
    expect(text).toMatch(/Inspector +http:\/\/127\.0\.0\.1:32122\/inspector/);
    expect(text).toMatch(/Files .*below \/home\/me\/app; --workspace DIR/);
    expect(text).toContain('/usr/bin/chromium');
    expect(text.split('\n').length).toBeLessThanOrEqual(8);
  });

  test('with tokens, every client sends one, and the line says how one is made', () => {
    const text = welcome({ auth: 'token', adminToken: 'operator-token-of-a-test' });
    expect(text).toContain(`${url}/mcp --header "Authorization: Bearer TOKEN"`);
    expect(text.match(/"Authorization":"Bearer TOKEN"/g)).toHaveLength(2);
    expect(text).toContain(`POST ${url}/api/users`);
    expect(text).not.toContain('operator-token-of-a-test');
  });

  test('the address behind a proxy, a browser to attach to, no browser at all', () => {
    expect(welcome({ publicUrl: 'https://debug.example' })).toContain('greenroom https://debug.example/mcp');
    expect(welcome({ browserUrl: 'http://127.0.0.1:9222' })).toMatch(/Browser +attached: 127\.0\.0\.1:9222/);
    const facts = { url, version: '1', config: defineConfig(), executable: undefined };
    expect(welcomeLines(facts).join('\n')).toMatch(/Browser .*npx greenroom install-browser/);
  });
});

test('progress is one line that moves on a terminal, cut to its width, and a line for each text elsewhere', () => {
  const written: string[] = [];
  const write = (text: string): void => void written.push(text);
  const terminal = createProgressLine({ isTTY: true, columns: 21, write });
  terminal.show('10 % of 170 MB');
  terminal.show('20 % of 170 MB and more than fits');
  terminal.clear();
  terminal.clear();
  expect(written).toEqual(['\r\u001b[K10 % of 170 MB', '\r\u001b[K20 % of 170 MB and m', '\r\u001b[K']);
  written.length = 0;
  createProgressLine({ isTTY: false, columns: 0, write }).show('10 %');
  expect(written).toEqual(['10 %\n']);
});

describe('a port that is taken', () => {
  test('is said by npm start before anything is built, with the process that holds it', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    for (const program of ['.bin/start.js', 'dist/src/main.js']) {
      for (const [args, env] of [
        [['--port', String(port)], {}],
        [[], { GREENROOM_PORT: String(port) }],
      ] as const) {
        const refused = run(process.execPath, [program, ...args], { cwd: root, env: { ...process.env, ...env } });
        const by = `by .*node.* \\(process ${process.pid}\\): stop the other program, or choose another --port\\.\n$`;
        await expect(refused).rejects.toMatchObject({
          code: 1,
          stdout: '',
          stderr: expect.stringMatching(`^greenroom: Port ${port} on 127\\.0\\.0\\.1 is in use ${by}`),
        });
      }
    }
    taken.close();
  });

  test('by a server of ours: its address is said', async () => {
    const served = await startTestServer();
    const port = Number(new URL(served.url).port);
    expect(await describePortInUse('127.0.0.1', port)).toMatch(
      `is in use by a Greenroom server (version 0.1.0, process ${process.pid}): use it at ${served.url}, stop it, or`,
    );
    await served.close();
  });
});

test('the command of a clone is executable after a build, and runs', async () => {
  for (const file of [join(root, '.bin/greenroom.js'), mainProgram]) {
    expect((await stat(file)).mode & 0o111).toBe(0o111);
    expect((await run(file, ['--version'])).stdout).toBe('0.1.0\n');
  }
});
