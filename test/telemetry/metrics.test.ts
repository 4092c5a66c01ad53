import { send } from '../support/http.js';
import { RawSse } from '../support/rawSse.js';
import { startTestServer, type TestServer } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';

let served: TestServer;
let stream: RawSse;
let text = '';

beforeAll(async () => {
  served = await startTestServer({ tools: new TestTools().all });
  stream = await new RawSse(served.url, { path: '/sse?userId=anna' }).whenAnnounced();
  await stream.initialize();
  await stream.call(1, 'tools/call', { name: 'echo', arguments: { value: 'x' } });
  await stream.call(2, 'tools/call', { name: 'fail', arguments: { how: 'tool' } });
  await stream.call(3, 'tools/call', { name: 'no-such-tool"}', arguments: {} });
  await stream.call(4, 'no/such/method');
  for (const path of ['/nothing', '/message', '/message?sessionId=secret-of-bert'])
    await send(`${served.url}${path}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' });
  const reply = await send(`${served.url}/metrics`);
  expect([reply.status, reply.headers['content-type']]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8']);
  text = reply.text;
});

afterAll(async () => {
  await stream.disconnect();
  await served.close();
});

const samples = () => text.split('\n').filter((line) => line.startsWith('greenroom_'));

test.each([
  'greenroom_sessions{state="active",transport="sse"} 1',
  'greenroom_sessions{state="connected",transport="websocket"} 0',
  'greenroom_session_creations_total{outcome="announced",cause="none"} 1',
  'greenroom_session_announce_duration_seconds_count 1',
  'greenroom_session_state_duration_seconds_count{state="created"} 1',
  'greenroom_session_state_duration_seconds_count{state="connected"} 1',
  'greenroom_tool_calls_total{tool="echo",outcome="ok"} 1',
  'greenroom_tool_calls_total{tool="fail",outcome="failed"} 1',
  'greenroom_tool_calls_total{tool="unknown",outcome="failed"} 1',
  'greenroom_tool_call_duration_seconds_count{tool="echo"} 1',
  'greenroom_rpc_requests_total{method="initialize",outcome="ok"} 1',
  'greenroom_rpc_requests_total{method="tools/call",outcome="failed"} 2',
  'greenroom_rpc_requests_total{method="other",outcome="failed"} 1',
  'greenroom_requests_in_flight 0',
  'greenroom_browsers{state="ready"} 1',
  'greenroom_browser_contexts 1',
  'greenroom_browser_queue_depth 0',
  'greenroom_warm_sessions 0',
  'greenroom_refusals_total{reason="not_found",transport="http"} 1',
  'greenroom_refusals_total{reason="missing_session",transport="sse"} 1',
  'greenroom_refusals_total{reason="unknown",transport="sse"} 1',
  'greenroom_alert_state{alert="creation_failure_rate",state="ok"} 1',
  'greenroom_alert_state{alert="creation_failure_rate",state="firing"} 0',
])('[C-METRICS] it has %s', (sample) => {
  expect(samples()).toContain(sample);
});

test('[C-METRICS] it tells of the build and of the process', () => {
  expect(text).toMatch(/^greenroom_build_info\{version="\d+\.\d+\.\d+",node="\d+\.\d+\.\d+"\} 1$/m);
  for (const name of ['process_resident_memory_bytes', 'nodejs_eventloop_lag_seconds', 'nodejs_heap_size_used_bytes'])
    expect(text).toMatch(new RegExp(`^${name} [\\d.e-]+$`, 'm'));
});

test('[C-METRICS] it holds no id, no name of a user and nothing that a client made up', () => {
  expect(text).not.toContain(stream.sessionId);
  expect(text).not.toMatch(/anna|no-such|no\/such|secret-of-bert|\/nothing/);
});

test('[C-METRICS] two servers in one process count apart', async () => {
  const other = await startTestServer();
  const reply = await send(`${other.url}/metrics`);
  expect(reply.text).toContain('greenroom_sessions{state="active",transport="sse"} 0');
  expect(reply.text).not.toContain('greenroom_tool_calls_total{');
  await other.close();
});
