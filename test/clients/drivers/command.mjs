/** Clients that are commands: each runs once for each thing that is asked, and connects anew every time. */
import { execFile } from 'node:child_process';
import { mkdtemp, mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { report, serverAddress } from './checks.mjs';

const { WAY, PAGE_URL } = process.env;
const mcp = serverAddress('/mcp');
const home = await mkdtemp(join(tmpdir(), 'greenroom-client-'));

async function configure(path, content) {
  await mkdir(join(home, path, '..'), { recursive: true });
  await writeFile(join(home, path), JSON.stringify(content));
}

/** What a command writes, whatever its exit code. Its home is empty but for what was configured. */
async function run(program, ...args) {
  const env = { ...process.env, HOME: home, XDG_CONFIG_HOME: join(home, '.config'), NO_COLOR: '1', CI: 'true' };
  const command = program.startsWith('/') ? [program, args] : [process.execPath, [program, ...args]];
  const options = { cwd: home, env, timeout: 60_000, maxBuffer: 1e8 };
  const { stdout, stderr } = await promisify(execFile)(...command, options).catch((error) => error);
  return `${stdout}\n${stderr}`.replace(/\u001b\[\d*m/g, '');
}

const inFolder = (path) => join(process.cwd(), 'node_modules', path);
const matches = async (output, pattern) => {
  const text = await output;
  return pattern.test(text) ? 'ok' : text.trim().slice(0, 300);
};

const inspector = (...args) =>
  run(inFolder('@modelcontextprotocol/inspector/clients/launcher/build/index.js'), '--cli', mcp, '--method', ...args);
const mcporter = (...args) => run(inFolder('mcporter/dist/cli.js'), ...args);

const clients = {
  inspector: async () => ({
    lists: await matches(inspector('tools/list', '--strict'), /"name": "take_screenshot"/),
    calls: await matches(inspector('tools/call', '--tool-name', 'new_page', '--tool-arg', `url=${PAGE_URL}`), /Opened page/),
    picture: await matches(inspector('tools/call', '--tool-name', 'take_screenshot'), /"type": "image"/),
    error: await matches(inspector('tools/call', '--tool-name', 'click', '--tool-arg', 'uid=1_999'), /1_999/),
  }),
  mcporter: async () => {
    const call = (tool, ...args) => mcporter('call', '--http-url', mcp, '--allow-http', '--name', 'greenroom', tool, ...args);
    return {
      lists: await matches(mcporter('list', '--http-url', mcp, '--allow-http', '--name', 'greenroom', '--json'), /take_screenshot/),
      calls: await matches(call('new_page', `url=${PAGE_URL}`), /Opened page/),
      picture: await matches(call('take_screenshot', '--output', 'json'), /image/),
      error: await matches(call('click', 'uid=1_999'), /1_999/),
    };
  },
  async gemini() {
    await configure('.gemini/settings.json', { mcpServers: { greenroom: { httpUrl: mcp } }, security: { folderTrust: { enabled: false } } });
    return { connects: await matches(run(inFolder('@google/gemini-cli/bundle/gemini.js'), 'mcp', 'list'), /greenroom.* Connected/) };
  },
  async qwen() {
    await configure('.qwen/settings.json', { mcpServers: { greenroom: { httpUrl: mcp } } });
    return { connects: await matches(run(inFolder('@qwen-code/qwen-code/cli-entry.js'), 'mcp', 'list'), /greenroom.* Connected/) };
  },
  async opencode() {
    await configure('.config/opencode/opencode.json', { mcp: { greenroom: { type: 'remote', url: mcp, enabled: true } } });
    const platform = process.platform === 'win32' ? 'windows' : process.platform;
    return { connects: await matches(run(inFolder(`opencode-${platform}-${process.arch}/bin/opencode`), 'mcp', 'list'), /greenroom.* connected/) };
  },
};

report(await clients[WAY]());
