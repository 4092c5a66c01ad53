import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from '../support/chromium.js';
import { send } from '../support/http.js';
import { RawSse } from '../support/rawSse.js';
import { expectedSignature, receiveWebhooks } from '../support/webhookReceiver.js';
import { startServerProcess, type ServerProcess } from './support/serverProcess.js';

const secret = `whsec_${Buffer.from('a key of thirty-two bytes, or so').toString('base64')}`;

/** A browser that ends at once until the file `mended` lies beside it. */
async function breakableBrowser(folder: string): Promise<string> {
  const path = join(folder, 'browser');
  await writeFile(path, `#!/bin/sh\n[ -e '${folder}/mended' ] || exit 1\nexec '${chromium}' "$@"\n`, { mode: 0o755 });
  return path;
}

async function whenSeen({ url, log }: ServerProcess) {
  const health = (await send(`${url}/health`)).json as { alerts: { creationFailureRate: string } };
  const [, gauge] = /greenroom_alert_state\{.*state="(\w+)"\} 1/.exec((await send(`${url}/metrics`)).text) ?? [];
  const lines = log.flatMap((line) => /"message":"(alert: [^"]+)"/.exec(line)?.[1] ?? []);
  return { health: health.alerts.creationFailureRate, gauge, lines };
}

test('[C-ALARM][C-WEBHOOK] a server whose browser breaks rings, and clears when it is mended', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'greenroom-alarm-'));
  const receiver = await receiveWebhooks();
  const flags = { '--executable-path': await breakableBrowser(folder), '--alert-window': '12s' };
  const alert = { '--alert-failure-rate': '0.5', '--alert-min-creations': '3', '--alert-webhook': receiver.url };
  const given = Object.entries({ ...flags, ...alert, '--alert-webhook-secret': secret }).flat();
  const server = await startServerProcess(given);
  try {
    for (let n = 0; n < 3; n += 1) expect((await send(`${server.url}/sse`)).status).toBe(502);
    await receiver.whenReceived(1);
    const rung = ['alert: ok -> pending', 'alert: pending -> firing'];
    expect(await whenSeen(server)).toEqual({ health: 'firing', gauge: 'firing', lines: rung });

    await writeFile(join(folder, 'mended'), '');
    const streams = [];
    for (let n = 0; n < 4; n += 1) streams.push(await new RawSse(server.url).whenAnnounced());
    await receiver.whenReceived(2);
    expect(await whenSeen(server)).toEqual({ health: 'ok', gauge: 'ok', lines: [...rung, 'alert: firing -> ok'] });
    await Promise.all(streams.map((stream) => stream.disconnect()));

    expect(receiver.received.map(({ json }) => json.type)).toEqual(['alert.firing', 'alert.cleared']);
    expect(receiver.received[0]?.json.data).toMatchObject({ cause: 'browser-failed', rate: 1 });
    for (const delivery of receiver.received)
      expect(delivery.headers['webhook-signature']).toBe(expectedSignature(delivery, secret));
    expect(server.log.join('\n')).not.toMatch(/whsec_|T0PSECRET/);
  } finally {
    await server.dispose();
    await receiver.close();
    await rm(folder, { recursive: true, force: true });
  }
});
