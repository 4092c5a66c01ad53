import type { Application, Request, Response } from 'express';
import { z } from 'zod';
import { duration } from '../duration.js';
import { Refusal } from '../errors.js';
import type { StoredToken, StoredUser } from '../tenancy/document.js';
import { isSubject, isUserId, subjectRule, userIdRule } from '../tenancy/principal.js';
import type { IsOperator } from '../tenancy/operator.js';
import type { Users } from '../tenancy/users.js';
import { operatorOnly, readBody, route, type Handler } from './route.js';

export interface ManagementDeps {
  /** A change resolves when what was opened with what it removes has ended. */
  readonly users: Users;
  /** Whose subjects the users are, if they are not our own. */
  readonly jwtIssuer: string | undefined;
  /**
   * Attaches to a browser for a moment and says what it is. Throws `browser_unreachable`, `forbidden_address`, or the
   * signal's reason.
   */
  probeBrowser(url: string, signal: AbortSignal): Promise<string>;
  isOperator: IsOperator;
  /** Bytes. */
  readonly bodyLimit: number;
}

const longestLifeMs = 10 * 365 * 24 * 36e5;
const aLife = 'a duration from 1s to 87600h';
const label = z.string().max(200, 'at most 200 characters').optional();
const webScheme = /^(https?|wss?)$/;

const newUser = z.strictObject({ id: z.string().refine(isUserId, userIdRule) });
/** With an outside issuer a user is one of its subjects (`auth0|1`), registered to give them browsers. */
const newSubject = z.strictObject({ id: z.string().refine(isSubject, subjectRule) });
const newToken = z.strictObject({
  label,
  expiresIn: duration.refine((ms) => ms >= 1_000 && ms <= longestLifeMs, aLife).optional(),
});
const newBrowser = z.strictObject({
  label,
  url: z
    .url({ protocol: webScheme, error: 'an address such as http://127.0.0.1:9222 or ws://…' })
    .max(2_000, 'at most 2000 characters')
    .refine(isPlain, 'an address without user name, password, query or fragment: it is kept in clear'),
});

/** The routes by which the operator keeps users, their tokens and their browsers. */
export function addManagement(app: Application, deps: ManagementDeps): void {
  const { users, isOperator, bodyLimit } = deps;
  const operator = operatorOnly(isOperator);
  const posted = (handler: Handler): Handler[] => [operator, readBody(bodyLimit), handler];
  const listUsers: Handler = async (_request, response) => {
    response.json({ users: (await users.list()).map(describeUser) });
  };
  const listTokens: Handler = async (request, response) => {
    response.json({ tokens: (await users.get(idOf(request))).tokens.map(describeToken) });
  };
  const listBrowsers: Handler = async (request, response) => {
    response.json({ browsers: (await users.get(idOf(request))).browsers });
  };
  const showUser: Handler = async (request, response) =>
    void response.json(describeUser(await users.get(idOf(request))));

  route(app, '/api/users', { get: [operator, listUsers], post: posted(createUser(deps)) });
  route(app, '/api/users/:id', { get: [operator, showUser], delete: [operator, removeUser(deps)] });
  route(app, '/api/users/:id/tokens', { get: [operator, listTokens], post: posted(issueToken(deps)) });
  route(app, '/api/users/:id/tokens/:item', { delete: [operator, revokeToken(deps)] });
  route(app, '/api/users/:id/browsers', { get: [operator, listBrowsers], post: posted(addBrowser(deps)) });
  route(app, '/api/users/:id/browsers/:item', { delete: [operator, removeBrowser(deps)] });
}

function createUser({ users, jwtIssuer }: ManagementDeps): Handler {
  const schema = jwtIssuer === undefined ? newUser : newSubject;
  return async (request, response) => {
    const user = await users.create(read(schema, request).id);
    response
      .status(201)
      .location(`/api/users/${encodeURIComponent(user.id)}`)
      .json(describeUser(user));
  };
}

function removeUser({ users }: ManagementDeps): Handler {
  return async (request, response) => {
    await users.remove(idOf(request));
    response.status(204).end();
  };
}

function issueToken({ users }: ManagementDeps): Handler {
  return async (request, response) => {
    const { label, expiresIn } = read(newToken, request);
    const { secret, token } = await users.issueToken(idOf(request), {
      ...(label !== undefined && { label }),
      ...(expiresIn !== undefined && { lifeMs: expiresIn }),
    });
    response.setHeader('cache-control', 'no-store');
    response.status(201).json({ ...describeToken(token), token: secret });
  };
}

function revokeToken({ users }: ManagementDeps): Handler {
  return async (request, response) => {
    await users.revokeToken(idOf(request), itemOf(request));
    response.status(204).end();
  };
}

function addBrowser({ users, probeBrowser }: ManagementDeps): Handler {
  return async (request, response) => {
    const { url, label } = read(newBrowser, request);
    const { id } = await users.get(idOf(request));
    const product = await probeBrowser(url, untilClosed(response));
    const browser = await users.addBrowser(id, { url, ...(label !== undefined && { label }) });
    response.status(201).json({ ...browser, product });
  };
}

/** Aborts when whoever waits for the answer leaves. */
function untilClosed(response: Response): AbortSignal {
  const left = new AbortController();
  response.once('close', () => left.abort(new Refusal('closed', { detail: 'The client left before the answer.' })));
  return left.signal;
}

function removeBrowser({ users }: ManagementDeps): Handler {
  return async (request, response) => {
    await users.removeBrowser(idOf(request), itemOf(request));
    response.status(204).end();
  };
}

const idOf = ({ params }: Request): string => String(params['id']);
const itemOf = ({ params }: Request): string => String(params['item']);

/** The body, checked. Throws `invalid_parameter` with one line that names the field and what is allowed. */
function read<Output>(schema: z.ZodType<Output>, { body }: Request): Output {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  if (issue?.code === 'unrecognized_keys') {
    throw new Refusal('invalid_parameter', { detail: `Unknown field ${JSON.stringify(issue.keys[0])}.` });
  }
  const field = issue?.path.join('.') ?? '';
  const detail = field === '' ? 'The body is a JSON object.' : `"${field}" is not allowed. Allowed: ${issue?.message}.`;
  throw new Refusal('invalid_parameter', { detail });
}

function describeUser({ id, createdAt, tokens, browsers }: StoredUser): object {
  return { id, createdAt, tokens: tokens.length, browsers: browsers.length };
}

/** Without what proves it. */
function describeToken({ hash: _hash, ...token }: StoredToken): Omit<StoredToken, 'hash'> {
  return token;
}

function isPlain(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { username, password, search, hash } = new URL(text);
  return [username, password, search, hash].every((part) => part === '');
}
