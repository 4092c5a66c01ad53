import { parseArgs } from 'node:util';
import { createFixture } from './fixture.js';

/** `npm run conformance:server -- --port N`: the fixture server, until SIGINT or SIGTERM. */

const { values } = parseArgs({ options: { port: { type: 'string', default: '0' } } });
const fixture = await createFixture(Number(values.port));
const { url } = await fixture.listen();
process.stdout.write(`${url}/mcp\n`);

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void fixture.close());
