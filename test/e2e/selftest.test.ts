import { tmpdir } from 'node:os';
import { runSelftest } from '../../src/selftest/selftest.js';
import { startServerProcess } from './support/serverProcess.js';

test('every listed tool answers with true content through a real SSE session', async () => {
  const server = await startServerProcess(['--tools', 'all', '--workspace', tmpdir()]);
  const lines: string[] = [];
  try {
    const counts = await runSelftest({ url: server.url, write: (line) => void lines.push(line) });
    expect(lines.filter((line) => line.startsWith('FAIL'))).toEqual([]);
    expect(counts.failed).toBe(0);
    expect(counts.passed).toBeGreaterThan(30);
  } finally {
    await server.dispose();
  }
}, 240_000);
