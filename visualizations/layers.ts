import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';

const openTo = z.union([z.literal('all'), z.array(z.string())]);

const schema = z.strictObject({
  layers: z.array(z.strictObject({ name: z.string(), paths: z.array(z.string()), about: z.string() })),
  sideRooms: z.array(
    z.strictObject({
      name: z.string(),
      paths: z.array(z.string()),
      openTo,
      types: z.literal('all').optional(),
      imports: z.array(z.string()).optional(),
    }),
  ),
  packages: z.array(z.strictObject({ name: z.string(), openTo })),
});

/**
 * Who may import whom. A layer imports layers after it; a side room or package is open to those it names, and its types
 * perhaps to all; `imports` are the layers that a side room itself imports. The same list makes the lint rule.
 */
export type Layers = z.output<typeof schema>;

export async function readLayers(root: string): Promise<Layers> {
  return schema.parse(JSON.parse(await readFile(join(root, '.config/layers.json'), 'utf8')));
}

/** How a layer may import a side room or package. */
export function accessOf(
  layer: string,
  target: Layers['sideRooms'][number] | Layers['packages'][number],
): 'all' | 'types' | 'none' {
  if (target.openTo === 'all' || target.openTo.includes(layer)) return 'all';
  return 'types' in target && target.types === 'all' ? 'types' : 'none';
}
