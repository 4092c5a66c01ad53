import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { findExecutable } from '../../src/browser/process/executable.js';
import { createOrchestrator, type Orchestrator } from '../../src/server/orchestrator.js';
import { button, field } from './browserPages.js';

/** A server that drives a browser, as its users start it: how to reach it, and what its tools are called. */
export interface Peer {
  readonly name: string;
  readonly version: string;
  /** A client that has initialised, and whatever the server needs for it. Closed by the caller. */
  connect(): Promise<Client>;
  readonly calls: {
    readonly evaluate: Call;
    readonly snapshot: Call;
    navigate(url: string): Call;
    readonly screenshot: Call;
    /** Of the button, and of the field, in the text of a snapshot. */
    click(snapshot: string): Call;
    fill(snapshot: string): Call;
  };
}

export interface Call {
  readonly name: string;
  readonly arguments: Record<string, unknown>;
}

const root = process.getuid?.() === 0;
const packages = ['@playwright/mcp', 'chrome-devtools-mcp'] as const;
/** So that figures stay comparable. */
const pinned = [`${packages[0]}@0.0.83`, `${packages[1]}@1.11.0`];
const fieldPattern = `uid=(\\S+) textbox "${field}"`;
/** chrome-devtools-mcp is told with each call where to. */
const onlyPage = { pageId: 1 };

/** Installs the two peers that are not ours, and what else is named, into a folder of their own, which the caller removes. */
export async function installPeers(...others: readonly string[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'greenroom-peers-'));
  await writeFile(join(folder, 'package.json'), '{"private":true}');
  const flags = ['--no-audit', '--no-fund', '--ignore-scripts'];
  await promisify(execFile)('npm', ['install', ...flags, ...pinned, ...others], { cwd: folder });
  return folder;
}

export async function removePeers(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
}

/** All three drive the same browser executable, headless, with a fresh profile. */
export async function peersIn(folder: string, greenroom: { readonly url: string }): Promise<Peer[]> {
  const executable = await findExecutable({ chromePath: process.env['CHROME_PATH'], searchPath: process.env['PATH'] });
  const versionOf = async (name: string): Promise<string> => {
    const text = await readFile(join(folder, 'node_modules', name, 'package.json'), 'utf8');
    return (JSON.parse(text) as { version: string }).version;
  };
  const [playwright, devtools] = packages;
  return [
    {
      name: 'greenroom',
      version: 'this',
      connect: () => connect(new StreamableHTTPClientTransport(new URL('/mcp', greenroom.url))),
      calls: {
        evaluate: { name: 'evaluate_script', arguments: { function: '() => 1' } },
        snapshot: { name: 'take_snapshot', arguments: {} },
        navigate: (url) => ({ name: 'navigate_page', arguments: { url } }),
        screenshot: { name: 'take_screenshot', arguments: {} },
        click: (snapshot) => ({ name: 'click', arguments: { uid: found(snapshot, `uid=(\\S+) button "${button}"`) } }),
        fill: (snapshot) => ({ name: 'fill', arguments: { uid: found(snapshot, fieldPattern), value: 'text' } }),
      },
    },
    {
      name: playwright,
      version: await versionOf(playwright),
      connect: () =>
        connect(
          inNode(folder, join(playwright, 'cli.js'), [
            ...['--headless', '--isolated', '--executable-path', executable],
            ...(root ? ['--no-sandbox'] : []),
          ]),
        ),
      calls: {
        evaluate: { name: 'browser_evaluate', arguments: { function: '() => 1' } },
        snapshot: { name: 'browser_snapshot', arguments: {} },
        navigate: (url) => ({ name: 'browser_navigate', arguments: { url } }),
        click: (snapshot) => {
          const target = found(snapshot, `button "${button}" \\[ref=(\\w+)\\]`);
          return { name: 'browser_click', arguments: { element: button, target, ref: target } };
        },
        screenshot: { name: 'browser_take_screenshot', arguments: {} },
        fill: (snapshot) => {
          const target = found(snapshot, `textbox "${field}" \\[ref=(\\w+)\\]`);
          return { name: 'browser_type', arguments: { element: field, target, ref: target, text: 'text' } };
        },
      },
    },
    {
      name: devtools,
      version: await versionOf(devtools),
      connect: () =>
        connect(
          inNode(folder, join('.bin', devtools), [
            ...['--headless', '--isolated', '--no-usage-statistics', '--executablePath', executable],
            ...(root ? ['--chromeArg=--no-sandbox'] : []),
          ]),
        ),
      calls: {
        evaluate: { name: 'evaluate_script', arguments: { ...onlyPage, function: '() => 1' } },
        snapshot: { name: 'take_snapshot', arguments: onlyPage },
        navigate: (url) => ({ name: 'navigate_page', arguments: { ...onlyPage, type: 'url', url } }),
        click: (snapshot) => ({
          name: 'click',
          arguments: { ...onlyPage, uid: found(snapshot, `uid=(\\S+) button "${button}"`) },
        }),
        screenshot: { name: 'take_screenshot', arguments: onlyPage },
        fill: (snapshot) => ({
          name: 'fill',
          arguments: { ...onlyPage, uid: found(snapshot, fieldPattern), value: 'text' },
        }),
      },
    },
  ];
}

interface ServerOptions {
  readonly auth?: 'token';
  readonly adminToken?: string;
  readonly dataDir?: string;
  readonly maxSessions?: number;
  readonly maxBrowsers?: number;
  readonly isolation?: 'context' | 'process';
  readonly discardPagesAfter?: number;
}

/** Ours runs before its clients come, with a session ready. */
export async function startGreenroom({ maxSessions = 200, ...others }: ServerOptions = {}): Promise<{
  readonly url: string;
  readonly orchestrator: Orchestrator;
}> {
  const { CHROME_PATH: chromePath, PATH: searchPath } = process.env;
  const orchestrator = await createOrchestrator({
    options: { port: 0, maxSessionsPerUser: maxSessions, maxSessions, ...others },
    search: { chromePath, searchPath },
  });
  return { ...(await orchestrator.listen()), orchestrator };
}

export async function connect(transport: Parameters<Client['connect']>[0]): Promise<Client> {
  const client = new Client({ name: 'bench', version: '1' });
  await client.connect(transport);
  return client;
}

/** The first text of a tool's answer. Rejects if the tool failed. */
export async function textOf(client: Client, call: Call): Promise<string> {
  const { content, isError } = await client.callTool(call, undefined, { timeout: 120_000 });
  if (isError === true) throw new Error(`${call.name}: ${JSON.stringify(content).slice(0, 500)}`);
  const [first] = content as readonly { readonly text?: string }[];
  return first?.text ?? '';
}

/** In a folder of its own, since one of them writes into the folder that it is started in. */
function inNode(folder: string, program: string, flags: readonly string[]): StdioClientTransport {
  const args = [join(folder, 'node_modules', program), ...flags];
  return new StdioClientTransport({ command: process.execPath, args, cwd: folder, stderr: 'ignore' });
}

function found(snapshot: string, pattern: string): string {
  const [, match] = new RegExp(pattern).exec(snapshot) ?? [];
  if (match === undefined) throw new Error(`No ${pattern} in ${snapshot.slice(0, 300)}`);
  return match;
}
