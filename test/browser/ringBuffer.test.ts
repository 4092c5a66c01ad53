import fc from 'fast-check';
import { RingBuffer } from '../../src/browser/collectors/ringBuffer.js';

const ringOf = (maxEntries: number, maxBytes: number): RingBuffer<string> =>
  new RingBuffer({ maxEntries, maxBytes, sizeOf: (value) => value.length });

const step = fc.oneof(
  fc.record({ push: fc.string({ maxLength: 12 }) }),
  fc.record({ update: fc.nat(40), to: fc.string({ maxLength: 12 }) }),
);

describe('a ring', () => {
  it('stays within both bounds, numbers without gaps, and accounts for each value, whatever happens', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 0, max: 30 }),
        fc.array(step),
        (count, bytes, steps) => {
          const ring = ringOf(count, bytes);
          let pushed = 0;
          for (const next of steps) {
            if ('push' in next) expect(ring.push(next.push)).toBe(++pushed);
            else ring.update(next.update, () => next.to);
            const { entries, dropped } = ring.read();
            expect(entries.length).toBeLessThanOrEqual(count);
            expect(ring.bytes).toBeLessThanOrEqual(bytes);
            expect(ring.bytes).toBe(entries.reduce((sum, { value }) => sum + value.length, 0));
            expect(ring.size).toBe(entries.length);
            expect(entries.length + dropped).toBe(pushed);
            expect(entries.map(({ id }) => id)).toEqual(entries.map((_, index) => dropped + 1 + index));
          }
        },
      ),
    );
  });

  it('gives a reader each new or changed value once, and nothing else', () => {
    fc.assert(
      fc.property(fc.array(step), fc.array(step), (before, after) => {
        const ring = ringOf(1_000, 1e6);
        const apply = (next: (typeof before)[number]): number | undefined => {
          if ('push' in next) return ring.push(next.push);
          return ring.update(next.update, () => next.to) ? next.update : undefined;
        };
        before.forEach(apply);
        const { cursor } = ring.read();
        const touched = new Set(after.map(apply).filter((id) => id !== undefined));
        const reading = ring.read(cursor);
        expect(reading.entries.map(({ id }) => id)).toEqual([...touched].sort((a, b) => a - b));
        expect(ring.read(reading.cursor)).toEqual({ entries: [], dropped: 0, cursor: reading.cursor });
      }),
    );
  });

  it('says how many came after the cursor and are gone', () => {
    const ring = ringOf(3, 100);
    ring.push('a');
    const { cursor } = ring.read();
    for (const value of 'bcdef') ring.push(value);
    expect(ring.read(cursor)).toMatchObject({ dropped: 2, entries: [{ id: 4 }, { id: 5 }, { id: 6 }] });
    expect(ring.read()).toMatchObject({ dropped: 3 });
  });

  it('counts values that were lost before they could be appended, also between others', () => {
    const ring = ringOf(3, 100);
    ring.push('a');
    const { cursor } = ring.read();
    ring.skip(5);
    expect(ring.push('b')).toBe(7);
    expect(ring.read()).toMatchObject({ dropped: 5, entries: [{ id: 1 }, { id: 7 }] });
    expect(ring.read(cursor)).toMatchObject({ dropped: 5, entries: [{ id: 7 }] });
    for (const value of 'cd') ring.push(value);
    expect(ring.read()).toMatchObject({ dropped: 6, entries: [{ id: 7 }, { id: 8 }, { id: 9 }] });
  });

  it('takes an amendment for no news', () => {
    const ring = ringOf(3, 100);
    const id = ring.push('short');
    const { cursor } = ring.read();
    expect(ring.amend(id, (value) => `${value} and more`)).toBe(true);
    expect(ring.read(cursor).entries).toEqual([]);
    expect(ring.get(id)).toBe('short and more');
  });

  it('does not keep a value that is larger than the ring, and goes on', () => {
    const ring = ringOf(3, 4);
    ring.push('ab');
    ring.push('too large');
    expect(ring.read()).toMatchObject({ entries: [], dropped: 2 });
    expect(ring.last()).toBeUndefined();
    expect(ring.push('cd')).toBe(3);
    expect(ring.last()).toMatchObject({ id: 3, value: 'cd' });
  });

  it('knows nothing of values that are gone', () => {
    const ring = ringOf(1, 100);
    ring.push('a');
    ring.push('b');
    expect(ring.get(1)).toBeUndefined();
    expect(ring.update(1, () => 'c')).toBe(false);
    expect(ring.get(2)).toBe('b');
  });

  it.each(['', '5', 'x-1', '1-', '1-2-3', '-1-1'])('refuses %j as a cursor', (cursor) => {
    expect(() => ringOf(1, 1).read(cursor)).toThrow('is not a cursor');
  });
});
