import type { ContentBlock } from '@modelcontextprotocol/sdk/types.js';

/** The revisions that brought a block of their own; all others are as old as the protocol. */
const introducedIn: Partial<Record<ContentBlock['type'], string>> = { audio: '2025-03-26', resource_link: '2025-06-18' };

/** The blocks as a client of this revision can read them: at a type that it does not know it drops the whole answer. */
export function adaptContent(revision: string | null, content: readonly ContentBlock[]): ContentBlock[] {
  const isSupported = ({ type }: ContentBlock): boolean => revision === null || (introducedIn[type] ?? '') <= revision;
  return content.map((block) => (isSupported(block) ? block : { type: 'text', text: describeBlock(block) }));
}

function describeBlock(block: ContentBlock): string {
  if (block.type === 'resource_link') return `Resource ${block.uri} (${block.mimeType ?? 'unknown type'})`;
  return `Left out: ${block.type}, which this client cannot show.`;
}
