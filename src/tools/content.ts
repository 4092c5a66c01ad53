/** What an answer, a prompt or a message to a model is made of (2025-11-25, server/tools). */

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

/** Since 2025-03-26; clients of older revisions get a line of text instead. */
export interface AudioContent {
  readonly type: 'audio';
  /** Base64. */
  readonly data: string;
  readonly mimeType: string;
}

/** A resource with what is in it: as text, or as `blob` in base64. */
export interface EmbeddedResource {
  readonly type: 'resource';
  readonly resource: { readonly uri: string; readonly mimeType: string } & (
    { readonly text: string } | { readonly blob: string }
  );
}

export type Content = TextContent | ImageContent | AudioContent | EmbeddedResource;
