import { connectClient, serve, type Served } from '../support/serve.js';

describe('a session over SSE', () => {
  let served: Served;
  beforeAll(async () => {
    served = await serve();
  });
  afterAll(() => served.close());

  test('the official client initialises, pings, lists tools and leaves nothing behind', async () => {
    const client = await connectClient(served.url);
    await expect(client.ping()).resolves.toEqual({});
    const { tools } = await client.listTools();
    expect(tools).toEqual([]);
    expect(served.orchestrator.health()).toMatchObject({ sessions: { total: 1, active: 1 } });
    await client.close();
  });
});
