import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import express, { type Request, type Response, type Router } from 'express';
import type { Clock } from '../clock.js';
import { Refusal } from '../errors/errors.js';
import { packageRoot } from '../packageInfo.js';
import type { Journal } from './journal.js';
import type { Viewers } from './viewers.js';
import { newerRemoteRows } from './sessionTable.js';
import type { Overview, SessionRow } from './wire.js';

const sources = join(packageRoot, 'src/inspector/page');
const built = join(packageRoot, 'dist/src/inspector/page');
const library = dirname(createRequire(import.meta.url).resolve('preact'));

/** The folder of each kind of file of the page; nothing else is served. */
const folders: Readonly<Record<string, string>> = {
  css: sources,
  json: sources,
  svg: sources,
  js: built,
  mjs: library,
};

const idPattern = /^[\w-]{8}$/;

interface InspectorRouteDeps {
  readonly viewers: Viewers;
  readonly journal: Journal;
  readonly clock: Clock;
  overview(): Promise<Overview>;
  usage(): Promise<readonly object[]>;
  /** The rows of other nodes. Never rejects. */
  remoteRows(): Promise<readonly SessionRow[]>;
}

/** The routes below `/inspector`. The content security policy of the page allows no other source. */
export function inspectorRoutes({ viewers, journal, clock, overview, usage, remoteRows }: InspectorRouteDeps): Router {
  const router = express.Router();
  const page = readPage();
  router.use((_request, response, next) => {
    response.setHeader('x-content-type-options', 'nosniff');
    response.setHeader('referrer-policy', 'no-referrer');
    next();
  });
  router
    .route('/')
    .get((request, response) => {
      response.setHeader('content-security-policy', page.policy);
      response.setHeader('cache-control', 'no-cache');
      response.type('html').send(page.html.replace('<base href="./" />', `<base href="${baseFor(request)}" />`));
    })
    .all(refuseMethod);
  router
    .route('/stream')
    .get((request, response) => {
      if (request.method === 'HEAD') refuseMethod(request, response);
      viewers.open(response, sessionParameter(request), contentsParameter(request));
    })
    .all(refuseMethod);
  router
    .route('/sessions')
    .get(async (_request, response) => {
      const remote = newerRemoteRows(await remoteRows(), journal);
      const own = journal.rows().filter(({ id }) => !remote.has(id));
      const rows = [...own.reverse(), ...remote.values()].toSorted((one, other) => other.createdAt - one.createdAt);
      response.json({ now: clock.now(), rows, users: await usage(), overview: await overview() });
    })
    .all(refuseMethod);
  router.route('/:file').get(sendFile).all(refuseMethod);
  return router;
}

/** Relative, so that it is right below any path that a proxy puts before it or removes. */
function baseFor({ baseUrl, originalUrl }: Request): string {
  const [path = ''] = originalUrl.split('?', 1);
  return path.endsWith('/') ? './' : `${baseUrl.slice(baseUrl.lastIndexOf('/') + 1)}/`;
}

function refuseMethod(_request: Request, response: Response): never {
  response.setHeader('allow', 'GET');
  throw new Refusal('method_not_allowed');
}

function sessionParameter({ query }: Request): string | null {
  const id = query['session'];
  if (id === undefined) return null;
  if (typeof id === 'string' && idPattern.test(id)) return id;
  throw new Refusal('invalid_parameter', { detail: '"session" must be the first 8 characters of a session id.' });
}

function contentsParameter({ query }: Request): boolean {
  const contents = query['contents'];
  if (contents === undefined || contents === '1') return contents === '1';
  throw new Refusal('invalid_parameter', { detail: '"contents" must be 1 or left out.' });
}

function sendFile(request: Request, response: Response, next: (error?: unknown) => void): void {
  const file = String(request.params['file']);
  const [, extension = ''] = /^[\w]+\.(css|json|svg|js|mjs)$/.exec(file) ?? [];
  const root = folders[extension];
  if (root === undefined) throw new Refusal('not_found');
  response.setHeader('cache-control', 'no-cache');
  response.sendFile(file, { root }, (error?: NodeJS.ErrnoException) => {
    if (error === undefined || response.headersSent) return;
    next(error.code === 'ENOENT' ? new Refusal('not_found') : error);
  });
}

/** The page and its policy: files of this server, and the one inline element, the import map, by its hash. */
function readPage(): { readonly html: string; readonly policy: string } {
  const html = readFileSync(join(sources, 'index.html'), 'utf8');
  const [, map = ''] = /<script type="importmap">([\s\S]*?)<\/script>/.exec(html) ?? [];
  const hash = createHash('sha256').update(map).digest('base64');
  const rules = [
    "default-src 'self'",
    `script-src 'self' 'sha256-${hash}'`,
    "base-uri 'self'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "object-src 'none'",
  ];
  return { html, policy: rules.join('; ') };
}
