import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { json } from 'node:stream/consumers';
import { z } from 'zod';
import { call, initialize, initialized } from '../support/messages.js';
import { RawMcp } from '../support/rawMcp.js';
import { RawStdio } from '../support/rawStdio.js';
import { mainProgram, root } from '../support/root.js';

const attributes = z.array(z.object({ key: z.string(), value: z.looseObject({ stringValue: z.string().optional() }) }));
/** The body of an export by OTLP over HTTP, as far as a test looks at it. */
const exportSchema = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes }),
      scopeSpans: z.array(
        z.object({
          scope: z.object({ name: z.string() }),
          spans: z.array(
            z.object({
              name: z.string(),
              traceId: z.string(),
              spanId: z.string(),
              parentSpanId: z.string().optional(),
              status: z.object({ code: z.number(), message: z.string().optional() }),
            }),
          ),
        }),
      ),
    }),
  ),
});

type Exported = z.infer<typeof exportSchema>['resourceSpans'][number];
type Span = Exported['scopeSpans'][number]['spans'][number];

/** A collector that keeps what it is sent. */
async function startCollector() {
  const exported: Exported[] = [];
  const paths = new Set<string>();
  const server = createServer((request, response) => {
    paths.add(`${request.method} ${request.url} ${request.headers['content-type']}`);
    void json(request).then((body) => {
      exported.push(...exportSchema.parse(body).resourceSpans);
      response.setHeader('content-type', 'application/json').end('{"partialSuccess":{}}');
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  /** The spans of a service, by their names. */
  const spansOf = (service: string): Map<string, Span> => {
    const own = exported.filter(({ resource }) =>
      resource.attributes.some(({ key, value }) => key === 'service.name' && value.stringValue === service),
    );
    const spans = own.flatMap(({ scopeSpans }) => scopeSpans.filter(({ scope }) => scope.name === 'greenroom'));
    return new Map(spans.flatMap((scope) => scope.spans).map((span) => [span.name, span]));
  };
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { endpoint, paths, spansOf, close: () => new Promise((resolve) => server.close(resolve)) };
}

let collector: Awaited<ReturnType<typeof startCollector>>;
beforeAll(async () => {
  collector = await startCollector();
});
afterAll(() => collector.close());

/** The command with the preload of `.deploy/`; no browser is started. */
function start(command: string, service: string, ...flags: string[]) {
  const quiet = ['--lease', 'lazy', '--log-format', 'json', '--executable-path', process.execPath];
  return spawn(process.execPath, [mainProgram, command, ...quiet, ...flags], {
    env: {
      ...process.env,
      NODE_OPTIONS: `--import ${join(root, '.deploy/tracing.mjs')}`,
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint,
      OTEL_SERVICE_NAME: service,
      // Longer than a test: what arrives was sent at the end.
      OTEL_BSP_SCHEDULE_DELAY: '3600000',
    },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
}

const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const [, traceId, parentSpanId] = traceparent.split('-');

test('[C-TRACE] a server with the preload sends its spans to an OTLP collector, the last ones when it stops', async () => {
  const server = start('serve', 'many', '--port', '0');
  const ended = once(server, 'exit');
  for await (const line of createInterface({ input: server.stderr })) {
    const { message, mcp } = JSON.parse(line) as { message: string; mcp?: string };
    if (message !== 'ready' || mcp === undefined) continue;
    const client = await new RawMcp(new URL(mcp).origin).initialize();
    await client.post(call(1, 'get_session_info'), { traceparent });
    await client.post(call(2, 'list_pages', { nothing: true }));
    await client.delete();
    server.kill('SIGTERM');
    break;
  }
  expect(await ended).toEqual([0, null]);
  const spans = collector.spansOf('many');
  expect([...spans.keys()].toSorted()).toEqual([
    'session.connect',
    'tools/call get_session_info',
    'tools/call list_pages',
  ]);
  expect(spans.get('tools/call get_session_info')).toMatchObject({ traceId, parentSpanId, status: { code: 0 } });
  expect(spans.get('tools/call list_pages')?.status).toMatchObject({ code: 2 });
  expect([...collector.paths]).toEqual(['POST /v1/traces application/json']);
});

test('[C-TRACE] so does one for a single client, whose process ends with its input', async () => {
  const server = start('stdio', 'single');
  const ended = once(server, 'exit');
  server.stderr.resume();
  const client = new RawStdio(server.stdin, server.stdout);
  client.send(initialize(1));
  await client.answer(1);
  client.send(initialized);
  client.send({ ...call(2, 'get_session_info'), params: { name: 'get_session_info', _meta: { traceparent } } });
  await client.answer(2);
  client.closeInput();
  expect(await ended).toEqual([0, null]);
  const spans = collector.spansOf('single');
  expect(spans.get('tools/call get_session_info')).toMatchObject({ traceId, parentSpanId });
  expect(spans.has('session.connect')).toBe(true);
});
