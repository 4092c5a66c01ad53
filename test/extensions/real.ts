import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rename } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startPageServer } from '../../src/selftest/pageServer.js';
import { extensionTools } from '../../src/tools/allTools.js';
import { lookTools } from '../../src/tools/lookTools.js';
import { navigationTools } from '../../src/tools/navigationTools.js';
import { startToolHarness, type ToolHarness } from '../tools/support/toolHarness.js';

/**
 * `npm run extensions [name …]`: extensions that others wrote and built, from npm and Debian, through their whole life; those
 * that Chrome no longer runs are refused with what has to be done. Packages are kept in a folder of the user's cache. Last
 * line: `N passed, N failed`.
 */

interface RealExtension {
  readonly name: string;
  readonly from: 'npm' | 'debian';
  readonly package: string;
  /** Inside of the package. */
  readonly folder: string;
  /** Calls that this extension answers with a refusal, since it has no such thing. Undefined: of Manifest V2. */
  readonly lacks?: readonly string[];
}

const shared = 'usr/share/webext';
const extensions: readonly RealExtension[] = [
  {
    name: 'ember-inspector',
    from: 'npm',
    package: 'ember-inspector@4.13.1',
    folder: 'dist/chrome',
    lacks: ['open_extension_popup'],
  },
  {
    name: 'playwriter',
    from: 'npm',
    package: 'playwriter@0.7.0',
    folder: 'dist/extension',
    lacks: ['open_extension_popup', 'open_extension_page', 'check_worker_sleep'],
  },
  {
    name: 'puppeteer-stream',
    from: 'npm',
    package: 'puppeteer-stream@3.0.23',
    folder: 'extension',
    lacks: ['open_extension_popup', 'check_worker_sleep'],
  },
  { name: 'apollo', from: 'npm', package: 'apollo-client-devtools@4.23.2', folder: 'build' },
  { name: 'vue', from: 'npm', package: 'vue-devtools@5.1.4', folder: 'vender' },
  { name: 'polkadot', from: 'npm', package: '@polkadot/extension@0.22.1', folder: '.' },
  { name: 'remotedev', from: 'npm', package: 'remotedev-extension@0.0.10', folder: 'dist' },
  {
    name: 'ublock-origin',
    from: 'debian',
    package: 'webext-ublock-origin-chromium',
    folder: 'usr/share/chromium/extensions/ublock-origin',
  },
  {
    name: 'browserpass',
    from: 'debian',
    package: 'webext-browserpass',
    folder: 'usr/share/chromium/extensions/browserpass',
  },
  { name: 'privacy-badger', from: 'debian', package: 'webext-privacy-badger', folder: `${shared}/privacy-badger` },
  { name: 'keepassxc', from: 'debian', package: 'webext-keepassxc-browser', folder: `${shared}/keepassxc-browser` },
];

const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'greenroom-extensions');
const run = promisify(execFile);

/** The folder of an extension, fetched now or in an earlier run. */
async function fetchExtension({ from, package: name, folder }: RealExtension): Promise<string> {
  const kept = join(cache, name.replaceAll(/[^\w.+-]/g, '_'));
  await mkdir(cache, { recursive: true });
  if ((await readdir(cache)).includes(kept.slice(cache.length + 1))) return join(kept, folder);
  const unfinished = await mkdtemp(join(cache, 'unfinished-'));
  if (from === 'npm') {
    await run('npm', ['pack', '--silent', name], { cwd: unfinished });
    const [archive = ''] = await readdir(unfinished);
    await run('tar', ['--extract', '--gzip', '--strip-components=1', '--file', archive], { cwd: unfinished });
  } else {
    const download = (): Promise<unknown> => run('apt-get', ['download', '-q', name], { cwd: unfinished });
    // A new machine does not know yet what there is.
    await download().catch(() => run('apt-get', ['update', '-q']).then(download));
    const [archive = ''] = await readdir(unfinished);
    await run('dpkg-deb', ['--extract', archive, '.'], { cwd: unfinished });
  }
  await rename(unfinished, kept);
  return join(kept, folder);
}

/** The life of an extension after its installation. */
const life: readonly (readonly [tool: string, args?: Readonly<Record<string, unknown>>])[] = [
  ['get_extension_details'],
  ['inspect_extension_manifest'],
  ['activate_extension_service_worker'],
  ['list_extension_contexts'],
  ['evaluate_in_extension', { expression: 'chrome.runtime.getManifest().name' }],
  ['check_content_script_injection'],
  ['open_extension_popup'],
  ['open_extension_page', { page: 'options' }],
  ['inspect_extension_storage'],
  ['set_extension_storage', { area: 'local', set: { 'greenroom-test': 1 } }],
  ['trace_extension_api_calls', { action: 'start' }],
  ['trigger_extension_action'],
  ['trace_extension_api_calls', { action: 'stop' }],
  ['monitor_extension_messages'],
  ['get_extension_flow'],
  ['get_extension_logs'],
  ['get_extension_runtime_errors'],
  ['stop_extension_service_worker'],
  ['get_service_worker_status'],
  ['activate_extension_service_worker'],
  ['check_worker_sleep'],
  ['list_request_rules'],
  ['reload_extension'],
  ['set_extension_enabled', { enabled: false }],
  ['set_extension_enabled', { enabled: true }],
  ['uninstall_extension'],
];

async function live(tools: ToolHarness, extensionId: string, lacks: readonly string[]): Promise<void> {
  for (const [tool, args] of life) {
    const refused = lacks.includes(tool);
    const outcome = await tools.text(tool, { extensionId, ...args }).then(
      (text) => ({ text, failed: false }),
      (error: unknown) => ({ text: String(error), failed: true }),
    );
    if (outcome.failed !== refused)
      throw new Error(`${tool} ${refused ? 'answered instead of refusing' : 'failed'}: ${outcome.text}`);
  }
}

async function tryExtension(tools: ToolHarness, extension: RealExtension): Promise<void> {
  const path = await fetchExtension(extension);
  const workspace = [cache];
  if (extension.lacks === undefined) {
    const refusal = await tools.refusal('install_extension', { path }, { workspace });
    for (const part of ['unsupported manifest version', 'manifest_version is 2; Chrome runs only 3. Fix:'])
      if (!refusal.includes(part)) throw new Error(`No ${JSON.stringify(part)} in: ${refusal}`);
    return;
  }
  const { structured } = await tools.run('install_extension', { path }, { workspace });
  await tools.run('navigate_page', { url: `${pages.url}/settled.html` });
  await live(tools, String(structured['id']), extension.lacks);
}

const wanted = process.argv.slice(2);
const counts = { passed: 0, failed: 0 };
const pages = await startPageServer();
const tools = await startToolHarness([...extensionTools, ...lookTools, ...navigationTools]);
try {
  for (const extension of extensions) {
    if (wanted.length > 0 && !wanted.some((part) => [extension.name, extension.from].includes(part))) continue;
    const startedAt = performance.now();
    const problem = await tryExtension(tools, extension).then(
      () => undefined,
      (error: unknown) => String(error),
    );
    counts[problem === undefined ? 'passed' : 'failed'] += 1;
    const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
    process.stdout.write(
      `${extension.name}: ${problem === undefined ? 'passed' : `FAILED: ${problem}`} (${seconds} s)\n`,
    );
  }
} finally {
  await tools.close();
  await pages.close();
}
process.stdout.write(`${counts.passed} passed, ${counts.failed} failed\n`);
process.exitCode = counts.failed > 0 || counts.passed === 0 ? 1 : 0;
