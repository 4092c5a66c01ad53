import { readFile } from 'node:fs/promises';
import { z } from 'zod';

/** A profile as V8 writes it (`--cpu-prof`), as far as it is read here. */
const profileSchema = z.object({
  nodes: z.array(z.object({ id: z.int(), callFrame: z.object({ functionName: z.string(), url: z.string() }) })),
  samples: z.array(z.int()),
  timeDeltas: z.array(z.number()),
});

/** Where a server spends its processor time: packages, folders of ours, and parts of the runtime, with the share of each. */
export type Shares = ReadonlyMap<string, number>;

export async function sharesOf(file: string): Promise<Shares> {
  const { nodes, samples, timeDeltas } = profileSchema.parse(JSON.parse(await readFile(file, 'utf8')));
  const placeOf = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const spent = new Map<string, number>();
  let all = 0;
  for (const [index, id] of samples.entries()) {
    const [place, micros] = [placeOf.get(id), timeDeltas[index] ?? 0];
    if (place === undefined || place === '(idle)') continue;
    all += micros;
    spent.set(place, (spent.get(place) ?? 0) + micros);
  }
  return new Map([...spent].map(([place, micros]) => [place, micros / all]));
}

function nameOf({ url, functionName }: { readonly url: string; readonly functionName: string }): string {
  const [, ofPackage] = /\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url) ?? [];
  const [, ofOurs] = /\/dist\/(machines|src\/[^/]+|test)/.exec(url) ?? [];
  if (ofPackage !== undefined) return ofPackage;
  if (ofOurs !== undefined) return ofOurs.replace(/\.js$/, '');
  return url.startsWith('node:') ? 'node' : functionName;
}
