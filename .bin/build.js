import { spawn } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';

// Builds what the server runs, for people who use a clone. Types are checked by `npm run build`, not here.
const root = join(import.meta.dirname, '..');
const node = process.execPath;
const tsc = join(root, 'node_modules/typescript/bin/tsc');
const steps = [
  ['the server', tsc, '--noCheck', '-p', '.config/tsconfig.build.json'],
  ['the inspector page', tsc, '--noCheck', '-p', 'src/inspector/page/tsconfig.json'],
  ['the code that runs in pages', tsc, '--noCheck', '-p', 'src/browser/injected/tsconfig.json'],
  ['the code that runs in pages', '.config/bundleInjected.js'],
];

/** Shows its progress on standard error: on a terminal as one line that is replaced. Exits with the compiler's errors. */
export async function build() {
  const startedAt = Date.now();
  const isTerminal = process.stderr.isTTY;
  let current = steps[0][0];
  const seconds = () => Math.round((Date.now() - startedAt) / 1000);
  const show = () => process.stderr.write(`\r\u001b[KBuilding ${current} … ${seconds()} s`);
  if (!isTerminal) process.stderr.write('Building. The first build takes up to a minute.\n');
  const timer = isTerminal ? setInterval(show, 200) : undefined;
  let failure;
  for (const [name, ...command] of steps) {
    current = name;
    failure ??= await run(command);
  }
  clearInterval(timer);
  if (isTerminal) process.stderr.write('\r\u001b[K');
  if (failure !== undefined) {
    process.stderr.write(`${failure}\nThe build failed. Run npm ci, and try again.\n`);
    process.exit(1);
  }
  chmodSync(join(root, 'dist/src/main.js'), 0o755);
}

/** Resolves with what the command wrote, if it failed. */
async function run(command) {
  const child = spawn(node, command, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  const written = [];
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text) => written.push(text));
  const code = await new Promise((resolve) => {
    child.once('error', resolve);
    child.once('close', resolve);
  });
  return code === 0 ? undefined : written.join('').trim() || `${command[0]} ended with ${code}`;
}
