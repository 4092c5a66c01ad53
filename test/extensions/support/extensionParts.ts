export type Files = Readonly<Record<string, string | Buffer>>;

/** A manifest, as an object or as its text, and the other files; with what a finding says, or must not say. */
export type AuditCase = readonly [readonly [object | string, Files?], string];

export const worker = (code: string, manifest: object = {}, files: Files = {}): [object, Files] => [
  { background: { service_worker: 'worker.js' }, ...manifest },
  { 'worker.js': code, ...files },
];
export const moduleWorker = (code: string, manifest: object = {}, files: Files = {}): [object, Files] => [
  { background: { service_worker: 'worker.js', type: 'module' }, ...manifest },
  { 'worker.js': code, ...files },
];
export const popup = (html: string, files: Files = {}, manifest: object = {}): [object, Files] => [
  { action: { default_popup: 'popup.html' }, ...manifest },
  { 'popup.html': html, ...files },
];
export const contentScript = (code: string, manifest: object = {}): [object, Files] => [
  { content_scripts: [{ matches: ['https://example.com/*'], js: ['content.js'] }], ...manifest },
  { 'content.js': code },
];
export const onMessage = (body: string): string => `chrome.runtime.onMessage.addListener(() => { ${body} });`;
export const resources = (...names: string[]): object => ({
  web_accessible_resources: [{ resources: names, matches: ['https://example.com/*'] }],
});
