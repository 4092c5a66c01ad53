import { chart, edgeName, inventoryOf, scenariosOf, type Scenario } from './plan.js';
import { World } from './world.js';

const takenEdges = new Set<string>();
const enteredStates = new Set<string>();

/** What a stream that cannot be resumed and is attached once cannot do. */
const notOverSse = {
  states: ['session.active.detached'],
  edges: [] as string[],
};

async function run({ lease, moves }: Scenario): Promise<void> {
  const world = await World.start(lease);
  for (const move of moves) await world.take(move);
  await world.finish();
  for (const edge of world.edges) takenEdges.add(edgeName(edge));
}

test.each(scenariosOf('eager'))('[S1][S2][S3][S5][S7][S8][S9] eager: $name', run);

test.each(scenariosOf('lazy'))('[S1][S2][S3][S5][S7][S8][S9] lazy: $name', run);

test('every transition of the chart was taken through the server, but those that SSE does not have', () => {
  const { edges } = inventoryOf(chart);
  expect(edges.filter((edge) => !takenEdges.has(edge))).toEqual(notOverSse.edges);
});
