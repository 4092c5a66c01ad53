import type { ContentBlock } from '@modelcontextprotocol/sdk/types.js';

/** The revisions that brought a block of their own; all others are as old as the protocol. */
const since: Partial<Record<ContentBlock['type'], string>> = { audio: '2025-03-26', resource_link: '2025-06-18' };

/** The blocks as a client of this revision can read them: at a type that it does not know it drops the whole answer. */
export function readableBy(revision: string | null, content: readonly ContentBlock[]): ContentBlock[] {
  const knows = ({ type }: ContentBlock): boolean => revision === null || (since[type] ?? '') <= revision;
  return content.map((block) => (knows(block) ? block : { type: 'text', text: described(block) }));
}

function described(block: ContentBlock): string {
  if (block.type === 'resource_link') return `Resource ${block.uri} (${block.mimeType ?? 'unknown type'})`;
  return `Left out: ${block.type}, which this client cannot show.`;
}
