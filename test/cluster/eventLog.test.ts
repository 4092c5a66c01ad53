import { MemoryEventLog, newStreamId, parseEventId } from '../../src/cluster/eventLog.js';

const stream = (sessionId = 'session') => ({ sessionId, streamId: newStreamId() });
const bounds = { count: 3, bytes: 1_000 };

/** Appends `count` events and answers their ids. */
async function fill(log: MemoryEventLog, address: ReturnType<typeof stream>, count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let index = 1; index <= count; index += 1) ids.push(await log.append(address, `event ${index}`));
  return ids;
}

const dataOf = ({ events }: { events: readonly { data: string }[] }) => events.map(({ data }) => data);

test('[C-RESUME] what came after an event is read in order, and from the beginning without one', async () => {
  const [log, address] = [new MemoryEventLog(), stream()];
  const ids = await fill(log, address, 3);
  expect(await log.replayAfter(address, ids[0] ?? '')).toEqual({
    events: [
      { id: ids[1], data: 'event 2' },
      { id: ids[2], data: 'event 3' },
    ],
    isComplete: true,
  });
  expect(dataOf(await log.replayAfter(address, null))).toEqual(['event 1', 'event 2', 'event 3']);
  expect(await log.replayAfter(address, ids[2] ?? '')).toEqual({ events: [], isComplete: true });
  expect(await log.replayAfter(stream(), null)).toEqual({ events: [], isComplete: true });
});

test('[S6] the id of an event names its stream, which cannot be guessed, and is good for no other', async () => {
  const log = new MemoryEventLog();
  const [one, other, foreign] = [stream(), stream(), stream('another session')];
  const [id = ''] = await fill(log, one, 2);
  await Promise.all([fill(log, other, 2), fill(log, foreign, 2)]);
  expect(parseEventId(id)).toEqual({ streamId: one.streamId, place: 1 });
  expect(new Set(Array.from({ length: 100 }, newStreamId)).size).toBe(100);
  for (const address of [other, foreign, { ...one, sessionId: 'another session' }]) {
    await expect(log.replayAfter(address, id)).rejects.toMatchObject({ reason: 'unknown_event' });
  }
});

test.each([
  '',
  'x',
  '1',
  '.1',
  `${'a'.repeat(22)}.`,
  `${'a'.repeat(22)}.0`,
  `${'a'.repeat(22)}.-1`,
  'a.b.c',
  '__proto__',
])('what is no event id is refused: "%s"', async (id) => {
  const [log, address] = [new MemoryEventLog(), stream()];
  await fill(log, address, 1);
  expect(parseEventId(id)).toBeNull();
  await expect(log.replayAfter(address, id)).rejects.toMatchObject({ reason: 'unknown_event' });
});

test('an event that was never sent is refused', async () => {
  const [log, address] = [new MemoryEventLog(), stream()];
  await fill(log, address, 2);
  await expect(log.replayAfter(address, `${address.streamId}.3`)).rejects.toMatchObject({ reason: 'unknown_event' });
  await expect(log.replayAfter(stream(), `${address.streamId}.1`)).rejects.toMatchObject({ reason: 'unknown_event' });
});

test('[S10] past the bound of a stream its oldest events go, and the gap is told', async () => {
  const [log, address] = [new MemoryEventLog({ stream: bounds }), stream()];
  const ids = await fill(log, address, 5);
  expect(await log.replayAfter(address, ids[0] ?? '')).toMatchObject({ isComplete: false });
  expect(await log.replayAfter(address, null)).toMatchObject({ isComplete: false });
  const kept = await log.replayAfter(address, ids[1] ?? '');
  expect([kept.isComplete, dataOf(kept)]).toEqual([true, ['event 3', 'event 4', 'event 5']]);
  // Two bytes a character: this one alone is as much as may be kept.
  await log.append(address, 'x'.repeat(500));
  const last = await log.replayAfter(address, ids[4] ?? '');
  expect([last.isComplete, last.events.length]).toEqual([true, 1]);
  expect(await log.replayAfter(address, ids[3] ?? '')).toMatchObject({ isComplete: false });
  const tooLarge = await log.append(address, 'x'.repeat(501));
  expect(await log.replayAfter(address, null)).toEqual({ events: [], isComplete: false });
  expect(await log.replayAfter(address, tooLarge)).toEqual({ events: [], isComplete: true });
});

test('[S10] past the bound of a session the oldest events of all its streams go, of no other session', async () => {
  const log = new MemoryEventLog({ session: { count: 4, bytes: 1_000 } });
  const [one, other, foreign] = [stream(), stream(), stream('another session')];
  await fill(log, foreign, 4);
  await fill(log, one, 2);
  await fill(log, other, 3);
  expect(dataOf(await log.replayAfter(one, null))).toEqual(['event 2']);
  expect(dataOf(await log.replayAfter(other, null))).toEqual(['event 1', 'event 2', 'event 3']);
  expect(dataOf(await log.replayAfter(foreign, null))).toHaveLength(4);
});

test('[S5] what is forgotten is gone: one stream, or all of a session', async () => {
  const log = new MemoryEventLog({ session: { count: 4, bytes: 1_000 } });
  const [one, other] = [stream(), stream()];
  const [id = ''] = await fill(log, one, 2);
  await fill(log, other, 2);
  await log.discard('session', one.streamId);
  await expect(log.replayAfter(one, id)).rejects.toMatchObject({ reason: 'unknown_event' });
  // Its events no longer count.
  await fill(log, other, 2);
  expect(dataOf(await log.replayAfter(other, null))).toHaveLength(4);
  expect(log.size).toBe(1);
  await log.discard('session');
  await log.discard('never existed');
  expect(log.size).toBe(0);
});
