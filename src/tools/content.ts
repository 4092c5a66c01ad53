/** Content blocks of answers, prompts and messages (2025-11-25, server/tools). */

export interface TextContent {
  readonly type: 'text';
  readonly text: string;
}

export interface ImageContent {
  readonly type: 'image';
  /** Base64. */
  readonly data: string;
  readonly mimeType: string;
}

/** Since 2025-03-26; clients with an older revision get a line of text instead. */
export interface AudioContent {
  readonly type: 'audio';
  /** Base64. */
  readonly data: string;
  readonly mimeType: string;
}

/** A resource with its contents, as text or as `blob` in base64. */
interface EmbeddedResource {
  readonly type: 'resource';
  readonly resource: { readonly uri: string; readonly mimeType: string } & (
    { readonly text: string } | { readonly blob: string }
  );
}

export type Content = TextContent | ImageContent | AudioContent | EmbeddedResource;
