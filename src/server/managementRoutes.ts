import type { Application, Request, Response } from 'express';
import { z } from 'zod';
import { durationSchema, quotasSchema } from '../config/config.js';
import { Refusal } from '../errors/errors.js';
import type { Log } from '../log.js';
import { isUrlPattern } from '../networkAddresses.js';
import type { StoredToken, StoredUser } from '../tenancy/userDocument.js';
import { isSubject, isUserId, subjectRule, userIdRule } from '../tenancy/principal.js';
import type { IsOperator } from '../tenancy/auth.js';
import type { Users, UserSettings } from '../tenancy/users.js';
import { requireOperator, readJsonBody, addRoute, type RouteHandler } from './routing.js';

export interface ManagementRoutesDeps {
  /** A removal resolves when the sessions and streams that the removed records opened have ended. */
  readonly users: Users;
  /** The issuer whose subjects are the users; undefined with `--auth token`. */
  readonly jwtIssuer: string | undefined;
  /**
   * Attaches to a browser, resolves with its product name and detaches. Throws `browser_unreachable`, `forbidden_address`, or
   * the signal's reason.
   */
  probeBrowser(url: string, signal: AbortSignal): Promise<string>;
  isOperator: IsOperator;
  /** Gets one line for each change of users and their rights. */
  readonly log: Log;
  /** Bytes. */
  readonly bodyLimit: number;
}

const maxTokenLifetimeMs = 10 * 365 * 24 * 36e5;
const tokenLifetimeFormat = 'a duration from 1s to 87600h';
const labelSchema = z.string().max(200, 'at most 200 characters').optional();
const browserUrlScheme = /^(https?|wss?)$/;

const urlPatternsSchema = z
  .array(z.string().min(1).max(2_000))
  .max(100, 'at most 100 patterns')
  .refine((patterns) => patterns.every(isUrlPattern), 'hosts, addresses with *, and networks such as 10.0.0.0/8')
  .optional();
const settingsShape = {
  allowedUrls: urlPatternsSchema,
  blockedUrls: urlPatternsSchema,
  quotas: quotasSchema.optional(),
};
const settingsSchema = z.strictObject(settingsShape);
const newUserSchema = z.strictObject({ id: z.string().refine(isUserId, userIdRule), ...settingsShape });
/** With an OAuth issuer a user is one of its subjects (`auth0|1`), registered so that browsers can be added. */
const newSubjectSchema = z.strictObject({ id: z.string().refine(isSubject, subjectRule), ...settingsShape });
const newTokenSchema = z.strictObject({
  label: labelSchema,
  expiresIn: durationSchema.refine((ms) => ms >= 1_000 && ms <= maxTokenLifetimeMs, tokenLifetimeFormat).optional(),
});
const newBrowserSchema = z.strictObject({
  label: labelSchema,
  url: z
    .url({ protocol: browserUrlScheme, error: 'an address such as http://127.0.0.1:9222 or ws://…' })
    .max(2_000, 'at most 2000 characters')
    .refine(hasOnlyHostAndPath, 'an address without user name, password, query or fragment: it is stored unencrypted'),
});

/** The routes for the operator to manage users, their tokens and their browsers. */
export function addManagementRoutes(app: Application, deps: ManagementRoutesDeps): void {
  const { users, isOperator, bodyLimit } = deps;
  const requireOperatorHandler = requireOperator(isOperator);
  const withJsonBody = (handler: RouteHandler): RouteHandler[] => [
    requireOperatorHandler,
    readJsonBody(bodyLimit),
    handler,
  ];
  const listUsers: RouteHandler = async (_request, response) => {
    response.json({ users: (await users.list()).map(describeUser) });
  };
  const listTokens: RouteHandler = async (request, response) => {
    const { tokens } = await users.get(userIdOf(request));
    const uses = await users.lastUses(tokens.map(({ id }) => id));
    response.json({ tokens: tokens.map((token) => describeToken(token, uses.get(token.id))) });
  };
  const listBrowsers: RouteHandler = async (request, response) => {
    response.json({ browsers: (await users.get(userIdOf(request))).browsers });
  };
  const showUser: RouteHandler = async (request, response) =>
    void response.json(describeUser(await users.get(userIdOf(request))));

  addRoute(app, '/api/users', { get: [requireOperatorHandler, listUsers], post: withJsonBody(createUser(deps)) });
  addRoute(app, '/api/users/:id', {
    get: [requireOperatorHandler, showUser],
    patch: withJsonBody(changeUser(deps)),
    delete: [requireOperatorHandler, removeUser(deps)],
  });
  addRoute(app, '/api/users/:id/tokens', {
    get: [requireOperatorHandler, listTokens],
    post: withJsonBody(issueToken(deps)),
  });
  addRoute(app, '/api/users/:id/tokens/:item', { delete: [requireOperatorHandler, revokeToken(deps)] });
  addRoute(app, '/api/users/:id/browsers', {
    get: [requireOperatorHandler, listBrowsers],
    post: withJsonBody(addBrowser(deps)),
  });
  addRoute(app, '/api/users/:id/browsers/:item', { delete: [requireOperatorHandler, removeBrowser(deps)] });
}

function createUser({ users, jwtIssuer, log }: ManagementRoutesDeps): RouteHandler {
  const schema = jwtIssuer === undefined ? newUserSchema : newSubjectSchema;
  return async (request, response) => {
    const { id, ...settings } = parseBody(schema, request);
    const user = await users.create(id, definedSettings(settings));
    log.info('user registered', { user: user.id });
    response
      .status(201)
      .location(`/api/users/${encodeURIComponent(user.id)}`)
      .json(describeUser(user));
  };
}

function changeUser({ users, log }: ManagementRoutesDeps): RouteHandler {
  return async (request, response) => {
    const settings = definedSettings(parseBody(settingsSchema, request));
    const user = await users.change(userIdOf(request), settings);
    log.info('user changed', { user: user.id, settings: Object.keys(settings).join(' ') });
    response.json(describeUser(user));
  };
}

function definedSettings({ allowedUrls, blockedUrls, quotas }: z.output<typeof settingsSchema>): UserSettings {
  return {
    ...(allowedUrls !== undefined && { allowedUrls }),
    ...(blockedUrls !== undefined && { blockedUrls }),
    ...(quotas !== undefined && { quotas }),
  };
}

function removeUser({ users, log }: ManagementRoutesDeps): RouteHandler {
  return async (request, response) => {
    const { id, tokens } = await users.remove(userIdOf(request));
    log.info('user removed', { user: id, tokens: tokens.length });
    response.status(204).end();
  };
}

function issueToken({ users, log }: ManagementRoutesDeps): RouteHandler {
  return async (request, response) => {
    const { label, expiresIn } = parseBody(newTokenSchema, request);
    const { secret, token } = await users.issueToken(userIdOf(request), {
      ...(label !== undefined && { label }),
      ...(expiresIn !== undefined && { lifeMs: expiresIn }),
    });
    log.info('token issued', { user: userIdOf(request), token: token.id, label, expires: token.expiresAt });
    response.setHeader('cache-control', 'no-store');
    response.status(201).json({ ...describeToken(token), token: secret });
  };
}

function revokeToken({ users, log }: ManagementRoutesDeps): RouteHandler {
  return async (request, response) => {
    await users.revokeToken(userIdOf(request), itemIdOf(request));
    log.info('token revoked', { user: userIdOf(request), token: itemIdOf(request) });
    response.status(204).end();
  };
}

function addBrowser({ users, probeBrowser, log }: ManagementRoutesDeps): RouteHandler {
  return async (request, response) => {
    const { url, label } = parseBody(newBrowserSchema, request);
    const { id } = await users.get(userIdOf(request));
    const product = await probeBrowser(url, untilClosed(response));
    const browser = await users.addBrowser(id, { url, ...(label !== undefined && { label }) });
    log.info('browser registered', { user: id, browser: browser.id });
    response.status(201).json({ ...browser, product });
  };
}

/** Aborts when the client disconnects. */
function untilClosed(response: Response): AbortSignal {
  const disconnected = new AbortController();
  response.once('close', () =>
    disconnected.abort(new Refusal('closed', { detail: 'The client disconnected before the response.' })),
  );
  return disconnected.signal;
}

function removeBrowser({ users, log }: ManagementRoutesDeps): RouteHandler {
  return async (request, response) => {
    await users.removeBrowser(userIdOf(request), itemIdOf(request));
    log.info('browser removed', { user: userIdOf(request), browser: itemIdOf(request) });
    response.status(204).end();
  };
}

const userIdOf = ({ params }: Request): string => String(params['id']);
const itemIdOf = ({ params }: Request): string => String(params['item']);

/** Checks the body. Throws `invalid_parameter` with one line: the field and what is allowed. */
function parseBody<Output>(schema: z.ZodType<Output>, { body }: Request): Output {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  if (issue?.code === 'unrecognized_keys') {
    throw new Refusal('invalid_parameter', { detail: `Unknown field ${JSON.stringify(issue.keys[0])}.` });
  }
  const field = issue?.path.join('.') ?? '';
  const detail =
    field === '' ? 'The body must be a JSON object.' : `"${field}" is not allowed. Allowed: ${issue?.message}.`;
  throw new Refusal('invalid_parameter', { detail });
}

function describeUser({ tokens, browsers, ...user }: StoredUser): object {
  return { ...user, tokens: tokens.length, browsers: browsers.length };
}

/** Without the hash. `lastUse`: in milliseconds; undefined if it was never used. */
function describeToken({ hash: _hash, ...token }: StoredToken, lastUse?: number): object {
  return { ...token, ...(lastUse !== undefined && { lastUsedAt: new Date(lastUse).toISOString() }) };
}

function hasOnlyHostAndPath(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { username, password, search, hash } = new URL(text);
  return [username, password, search, hash].every((part) => part === '');
}
