import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { build } from './build.js';

// `npm start`: reports a port in use before anything is built.
const args = process.argv.slice(2);

function flag(name) {
  const index = args.findLastIndex((arg) => arg === `--${name}` || arg.startsWith(`--${name}=`));
  if (index === -1) return undefined;
  return args[index].includes('=') ? args[index].slice(name.length + 3) : args[index + 1];
}

function fromFile(name) {
  try {
    return JSON.parse(readFileSync(flag('config') ?? process.env.GREENROOM_CONFIG ?? '', 'utf8'))[name];
  } catch {
    return undefined;
  }
}

const option = (name, otherwise) =>
  (flag(name) ?? process.env[`GREENROOM_${name.toUpperCase()}`]) || (fromFile(name) ?? otherwise);

const host = String(option('host', '127.0.0.1'));
const port = Number(option('port', 32122));

const isTaken = () =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', ({ code }) => resolve(code === 'EADDRINUSE'));
    server.listen(port, host.replace(/^\[|\]$/g, ''), () => server.close(() => resolve(false)));
  });

/** An earlier build of the server can find what holds the port. */
async function describePort() {
  const holder = new URL('../dist/src/server/portHolder.js', import.meta.url);
  if (existsSync(holder)) return (await import(holder.href)).describePortInUse(host, port);
  return `Port ${port} on ${host} is in use: stop the other program, or choose another --port.`;
}

const isServer = !/^[a-z]/.test(args[0] ?? '') || args[0] === 'serve';
const asksOnly = args.some((arg) => ['-h', '--help', '-V', '--version'].includes(arg));
if (isServer && !asksOnly && Number.isInteger(port) && port > 0 && port < 65536 && (await isTaken())) {
  process.stderr.write(`greenroom: ${await describePort()}\n`);
  process.exit(1);
}
await build();
await import(new URL('../dist/src/main.js', import.meta.url).href);
