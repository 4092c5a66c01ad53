import { z } from 'zod';
import { compileCatalogue, UnknownGroupError } from '../../src/tools/catalogue.js';
import { defineTool } from '../../src/tools/defineTool.js';
import { allTools } from '../../src/tools/allTools.js';

const catalogue = compileCatalogue(allTools);

/** What a model reads of a list in each conversation. */
function bytesOf(groups: string[]): number {
  const read = catalogue.select(groups).listings.map(({ outputSchema: _, ...listing }) => listing);
  return Buffer.byteLength(JSON.stringify(read));
}

test('the default groups list within 20 KiB, all of them within 40', () => {
  expect(bytesOf(['extension', 'core'])).toBeLessThan(20 * 1024);
  expect(bytesOf(['all'])).toBeLessThan(40 * 1024);
});

test('the same groups share one selection, whatever their order', () => {
  expect(catalogue.select(['core', 'extension'])).toBe(catalogue.select(['extension', 'core', 'pages']));
  expect([...catalogue.select(['network']).tools.keys()]).toContain('list_network_requests');
  expect([...catalogue.select(['network']).tools.keys()]).not.toContain('click');
});

test('an unknown group is named, with those that exist', () => {
  expect(() => catalogue.select(['core', 'foo'])).toThrow(UnknownGroupError);
  expect(() => catalogue.select(['foo'])).toThrow(/"foo".*core.*extension/);
});

test('two tools of one name are refused', () => {
  const tool = defineTool({
    name: 'twice',
    group: 'look',
    needs: 'nothing',
    description: 'Looks.',
    input: z.strictObject({}),
    output: z.object({}),
    annotations: { readOnlyHint: true },
    handler: () => Promise.resolve({ text: '', structured: {} }),
  });
  expect(() => compileCatalogue([tool, tool])).toThrow('same name');
});
