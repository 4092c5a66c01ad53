import { Registry } from 'prom-client';
import { registerGauges, type BrowserCounts } from '../../src/telemetry/gauges.js';

test('[C-METRICS] what is read is of the moment of the scrape, and what cannot be known has no sample', async () => {
  const registry = new Registry();
  let reading: BrowserCounts = { byState: { ready: 2 }, contexts: 3, queued: 1, residentBytes: 1_024 };
  let sessions = [{ state: 'active', transport: 'sse', inFlight: 2, keptBytes: 700 }];
  const refresh = registerGauges(registry, {
    sessions: () => sessions,
    warm: () => 1,
    browsers: () => Promise.resolve(reading),
    alert: () => 'ok',
  });
  const scrape = async () => {
    await refresh();
    return registry.metrics();
  };
  expect(await scrape()).toMatch(/^greenroom_browser_resident_memory_bytes 1024$/m);
  expect(await scrape()).toMatch(/^greenroom_sessions\{state="active",transport="sse"\} 1$/m);
  expect(await scrape()).toMatch(/^greenroom_sessions_kept_bytes 700$/m);
  expect(await scrape()).toMatch(/^greenroom_session_kept_bytes_max 700$/m);
  reading = { ...reading, residentBytes: null };
  sessions = [];
  const later = await scrape();
  expect(later).not.toMatch(/^greenroom_browser_resident_memory_bytes /m);
  expect(later).toMatch(/^greenroom_sessions\{state="active",transport="sse"\} 0$/m);
  expect(later).toMatch(/^greenroom_requests_in_flight 0$/m);
  expect(later).toMatch(/^greenroom_browser_queue_depth 1$/m);
});
