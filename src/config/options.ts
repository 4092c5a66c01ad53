import { totalmem } from 'node:os';
import { z } from 'zod';
import { parseRedisAddress } from '../redisAddress.js';

const durationFormat = 'a duration such as 500ms, 30s, 30m or 2h';
const millisecondsPerUnit = { ms: 1, s: 1e3, m: 6e4, h: 36e5 };

/** A duration such as `30s`, or a whole number of milliseconds; the output is in milliseconds. */
export const durationSchema = z
  .union(
    [z.number().int(durationFormat).min(0, durationFormat), z.string().regex(/^\d+(ms|s|m|h)$/, durationFormat)],
    durationFormat,
  )
  .transform((value) => (typeof value === 'number' ? value : parseWithUnit(value, millisecondsPerUnit)));

/** Parses a number followed by a unit; the result is in the unit with multiplier 1. */
function parseWithUnit(value: string, multipliers: Readonly<Record<string, number>>): number {
  const [, amount = '', unit = ''] = /^(\d+)([a-z]+)$/.exec(value) ?? [];
  return Number(amount) * (multipliers[unit] ?? 1);
}

const sizeFormat = 'a size such as 512kb or 4mb';

const sizeSchema = z
  .union([z.number().int(sizeFormat).min(1, sizeFormat), z.string().regex(/^\d+(b|kb|mb)$/i, sizeFormat)], sizeFormat)
  .transform((value) =>
    typeof value === 'number' ? value : parseWithUnit(value.toLowerCase(), { b: 1, kb: 1024, mb: 1024 ** 2 }),
  );

const quotaFormat = 'processes=4, browser-time=8h, memory=2gb, downloads=512mb or disk=1gb';
const quotaForm = /^(processes=\d+|browser-time=\d+[smh]|(memory|downloads|disk)=\d+([kmg]?b)?)$/i;

/** Quotas of a user. */
export const quotasSchema = z.array(z.string().regex(quotaForm, quotaFormat)).max(10);

/** An empty text, null and true are not numbers, although JavaScript converts them. */
const numberOrDigits = (allowed: string) =>
  z.union([z.number(), z.string().regex(/\d/, allowed)], allowed).transform(Number);

const integerBetween = (min: number, max: number) => {
  const allowed = `a whole number from ${min} to ${max}`;
  return numberOrDigits(allowed).pipe(z.number(allowed).int(allowed).min(min, allowed).max(max, allowed));
};

const fractionFormat = 'a number above 0, up to 1';
const fractionSchema = numberOrDigits(fractionFormat).pipe(
  z.number(fractionFormat).gt(0, fractionFormat).max(1, fractionFormat),
);

const webhookUrlFormat = 'an http or https address without a user name';

const booleanSchema = z.union(
  [z.boolean(), z.stringbool({ truthy: ['true', '1', 'yes'], falsy: ['false', '0', 'no'] })],
  'true or false',
);

const stringListSchema = z
  .union([z.array(z.string().min(1)), z.string().min(1)])
  .transform((value) => (typeof value === 'string' ? value.split(',').map((item) => item.trim()) : value))
  .readonly();

const browserUrlFormat = 'an address such as http://127.0.0.1:9222 or ws://…';

const browserUrlListSchema = z
  .union([z.array(z.string()), z.string()], browserUrlFormat)
  .transform((value) => (typeof value === 'string' ? value.split(',').map((item) => item.trim()) : value))
  .pipe(z.array(z.url({ protocol: /^(https?|wss?)$/, error: browserUrlFormat })).min(1))
  .transform((value) => [...new Set(value)])
  .readonly();

const redisUrlFormat =
  'an address such as redis://127.0.0.1:6379, redis+sentinel://10.0.0.5:26379,10.0.0.6:26379/mymaster or redis+cluster://10.0.0.5:6379,10.0.0.6:6379';

const chromeArgFormat =
  'a flag such as --lang=de, and none of --remote-debugging-…, --user-data-dir, --headless, --no-sandbox, --proxy-server and --proxy-pac-url, which options of the server set';

/** In an environment variable, flags are separated by spaces: their values may contain commas. */
const chromeArgsSchema = z
  .union([z.array(z.string()), z.string()], chromeArgFormat)
  .transform((value) => (typeof value === 'string' ? value.split(/\s+/).filter((flag) => flag !== '') : value))
  .pipe(
    z.array(
      z
        .string()
        .regex(
          /^--(?!remote-debugging|user-data-dir|headless|no-sandbox|proxy-server|proxy-pac-url)[a-z0-9]/,
          chromeArgFormat,
        ),
    ),
  )
  .readonly();

const browserHeaderFormat = '`Name: value`, such as `Authorization: Bearer …`';

/** An environment variable holds only one header: values contain commas. */
const browserHeaderSchema = z
  .union([z.array(z.string()), z.string()], browserHeaderFormat)
  .transform((value) => (typeof value === 'string' ? [value] : value))
  .pipe(z.array(z.string().regex(/^[!#$%&'*+.^_`|~\w-]+:[\x20-\x7e]+$/, browserHeaderFormat)))
  .readonly();

const placeFormat = 'a position in a number of servers, such as 1/3';
const keySchema = z.string().regex(/^[\x21-\x7e]{16,}$/, 'at least 16 characters without spaces');
const webUrlSchema = z.url({ protocol: /^https?$/, error: 'an address such as https://example.com' });
const hasOnlyPath = ({ search, hash, username }: URL): boolean => search === '' && hash === '' && username === '';
const gibibyte = 1024 ** 3;

/** A browser with a few pages takes half a gibibyte. A container may have less memory than its host. */
function defaultMaxBrowsers(): number {
  const constrainedBytes = process.constrainedMemory();
  const memory = constrainedBytes > 0 ? Math.min(constrainedBytes, totalmem()) : totalmem();
  return Math.max(2, Math.floor(memory / gibibyte));
}

const loopbackNames = ['localhost', '127.0.0.1', '[::1]'];

/** Every option: its check, default and meaning. Flags, variables, file keys, `--help` and the README table are generated from it. */
export const optionsSchema = z.strictObject({
  host: z
    .string()
    .min(1)
    .default('127.0.0.1')
    .describe('address to listen on; any but loopback needs --auth and --allowed-hosts'),
  port: integerBetween(0, 65535).default(32122).describe('port to listen on; 0 picks a free one'),
  auth: z
    .enum(['none', 'token', 'jwt'])
    .default('none')
    .describe(
      'who may connect. `none`: anyone on this machine; the user is `?userId=` or `local`. `token`: users of /api/users. `jwt`: users of an OAuth issuer',
    ),
  adminToken: keySchema.optional().meta({
    secret: true,
    description: "the operator's token, required by /api, /metrics and /inspector; set the variable, not the flag",
  }),
  metricsToken: keySchema.optional().meta({
    secret: true,
    description: 'a token that can read only /metrics and /health, for Prometheus; set the variable, not the flag',
  }),
  jwtIssuer: webUrlSchema.optional().describe('issuer of the access tokens, exactly as in their `iss`'),
  jwtAudience: stringListSchema
    .optional()
    .describe('audience that the `aud` of access tokens must contain: the name of this server at the issuer'),
  jwtJwksUrl: webUrlSchema
    .optional()
    .meta({ shown: "from the issuer's metadata", description: 'address of the public keys of the issuer' }),
  publicUrl: webUrlSchema
    .refine((value) => URL.canParse(value) && hasOnlyPath(new URL(value)), 'an address without query and fragment')
    .transform((value) => `${new URL(value).origin}${new URL(value).pathname}`.replace(/\/$/, ''))
    .optional()
    .meta({
      shown: 'that of the request',
      description: 'address of this server for clients behind a proxy; with a path if the proxy serves it below one',
    }),
  dataDir: z.string().min(1).optional().meta({
    shown: "`greenroom` in the user's data folder",
    description:
      'folder of users, tokens, browsers and the key of saved logins; one server at a time. With `--redis-url` they are kept in Redis',
  }),
  redisUrl: z
    .string(redisUrlFormat)
    .refine((value) => parseRedisAddress(value) !== undefined, redisUrlFormat)
    .optional()
    .meta({
      secret: true,
      description:
        'Redis (7 or later) or Valkey, also with Sentinel or as a cluster, that several nodes share: any node serves any session. The address may contain a password: set the variable, not the flag',
    }),
  nodeId: z
    .string()
    .regex(/^[\w-]{1,64}$/, '1 to 64 letters, digits, _ or -')
    .default('node')
    .describe('name of this node in its log, with `--redis-url`; need not be unique'),
  nodeLease: durationSchema
    .refine((ms) => ms >= 300, 'a duration of at least 300ms')
    .prefault('5s')
    .describe(
      'how long a node counts as alive without a heartbeat, with `--redis-url`; then other nodes take over or close its sessions',
    ),
  proxyPlace: z
    .string()
    .regex(/^([1-9]\d?)\/([1-9]\d?)$/, placeFormat)
    .refine((value) => Number(value.split('/')[0]) <= Number(value.split('/')[1]), placeFormat)
    .optional()
    .describe(
      'position of this node (1/3) in the server list of a proxy that hashes session ids, which then reach their node',
    ),
  allowBrowserAddresses: stringListSchema
    .default([])
    .describe(
      "addresses or names that users' browsers may have although they are link-local or a cloud metadata service",
    ),
  allowedUrls: stringListSchema
    .default([])
    .describe(
      'URL patterns; sessions can reach nothing else, through pages, workers, extensions, downloads, installations or redirects. `example.com` (with subdomains), `https://example.com/docs/*`, `10.0.0.0/8`; repeatable',
    ),
  blockedUrls: stringListSchema.default([]).meta({
    shown: 'with authentication link-local addresses and cloud metadata services, otherwise none',
    description: 'URL patterns that sessions cannot reach, even if --allowed-urls contains them; repeatable',
  }),
  allowedHosts: stringListSchema
    .default(loopbackNames)
    .describe('hosts, or host:port, that the Host header may name; any other gets 403. `*` for all, with `--auth`'),
  allowedOrigins: stringListSchema
    .default(loopbackNames)
    .describe(
      'hosts or origins of web pages, and whole origins of apps (`app://obsidian.md`), that may connect; any other Origin gets 403. `*` for all, with `--auth`',
    ),
  browser: z
    .enum(['launch', 'attach'])
    .optional()
    .meta({ shown: '`launch`', description: 'launch browsers, or attach to the one at --browser-url' }),
  browserUrl: browserUrlListSchema
    .optional()
    .describe(
      'debugging endpoint of a running browser (http or ws); implies `--browser attach`; repeatable: sessions are distributed among them',
    ),
  sessionsPerBrowser: integerBetween(1, 1e6).optional().meta({
    shown: 'no limit',
    description: 'sessions that may use one browser of `--browser-url` at once; further ones wait in the queue',
  }),
  executablePath: z
    .string()
    .min(1)
    .optional()
    .describe('the Chrome or Chromium to launch. Default: `CHROME_PATH`, then an installed one'),
  browserHeader: browserHeaderSchema.optional().meta({
    secret: true,
    description:
      'a header for the browsers of `--browser-url`, such as `Authorization: Bearer …`; repeatable. The value may be a secret: set the variable, not the flag',
  }),
  browserAutoConnect: booleanSchema
    .default(false)
    .describe(
      'attach to the running Chrome whose user switched on remote debugging in `chrome://inspect/#remote-debugging`. All clients share one connection, so Chrome asks once',
    ),
  channel: z
    .enum(['stable', 'beta', 'dev', 'canary'])
    .optional()
    .describe('the installed Chrome to launch, or with `--browser-auto-connect` to find'),
  userDataDir: z
    .string()
    .min(1)
    .optional()
    .describe(
      'profile folder of the launched Chrome, kept when Chrome ends. The sessions of one user share its tabs. With `--browser-auto-connect` the profile of the running Chrome',
    ),
  headless: booleanSchema.default(true).describe('launch without a window'),
  acceptInsecureCerts: booleanSchema
    .default(false)
    .describe('launch browsers that accept every TLS certificate, such as the self-signed one of a development server'),
  sandbox: z
    .enum(['auto', 'on', 'off'])
    .default('auto')
    .describe(
      "Chrome's own sandbox. auto: on, except as root, where Chrome cannot start with it. off: for machines that do not allow it, with trusted pages",
    ),
  proxyServer: z
    .string()
    .regex(/^[^\s@]+$/, 'an address such as http://127.0.0.1:8080, without credentials: Chrome sends none to a proxy')
    .optional()
    .describe('proxy of the launched browsers, such as http://127.0.0.1:8080 or socks5://127.0.0.1:1080'),
  chromeArg: chromeArgsSchema
    .default([])
    .describe(
      'a flag for launched browsers, such as `--chrome-arg=--lang=de`; repeatable. Flags that the server uses to reach and isolate browsers are not allowed',
    ),
  lease: z
    .enum(['eager', 'lazy'])
    .default('eager')
    .describe(
      'eager: a session is announced when its browser is ready. lazy: the browser is leased at the first tool that needs it',
    ),
  isolation: z.enum(['auto', 'context', 'process', 'profile']).optional().meta({
    shown: 'launch: `auto`; attach: `profile`',
    description:
      'what a session has of its own. context: a browser context; process: a browser process and profile; profile (attach): nothing, it uses the tabs of the attached browser. auto: a context until a tool needs a process; with authentication a process from the start, so that no two users share one. Contexts share a process, and with it clipboard, devices, memory and crashes; a context takes about 20 MB with a blank page, a process 150 MB',
  }),
  prewarm: integerBetween(0, 100)
    .default(1)
    .describe(
      'sessions kept ready for the next client, each with a blank page (`--lease eager`); with `--isolation process` each in its own browser process, if one is free',
    ),
  maxBrowsers: integerBetween(1, 1000).prefault(defaultMaxBrowsers).meta({
    shown: 'one for each GiB of memory, at least 2',
    description: 'browser processes that may run at once, including the shared one',
  }),
  browserQueue: integerBetween(0, 1000)
    .default(16)
    .describe('sessions that may wait for a browser; further ones get 429'),
  maxSessions: integerBetween(1, 1e6).default(100).describe('sessions open at once; further ones get 429'),
  maxSessionsPerUser: integerBetween(1, 1e6)
    .default(20)
    .describe('sessions of one user open at once; further ones get 429'),
  userQuota: stringListSchema.pipe(quotasSchema.readonly()).default([]).meta({
    shown: 'none',
    description:
      'what the sessions of one user may use together: `processes=4`, `browser-time=8h` (a day, UTC), `memory=2gb` (of browsers), `downloads=512mb`, `disk=1gb`; repeatable. Over the quota nothing new is opened (429 with its name); at twice the memory or disk, or without browser time, sessions end',
  }),
  connectRate: integerBetween(1, 1e9)
    .default(6_000)
    .describe('sessions that one user, or one address, may open per minute; further ones get 429'),
  requestRate: integerBetween(1, 1e9)
    .default(600_000)
    .describe('messages that one user may send per minute; further ones get 429'),
  trustProxy: stringListSchema
    .default([])
    .describe(
      'proxies whose X-Forwarded-For header is trusted: addresses, networks, or `loopback`, `linklocal`, `uniquelocal`',
    ),
  onEarlyMessage: z
    .enum(['reject', 'queue'])
    .default('reject')
    .describe('a message that comes before its session is connected is refused as `not_ready`, or held'),
  queueLimit: integerBetween(1, 256)
    .default(32)
    .describe('early messages that one session may hold; further ones get 429'),
  setupTimeout: durationSchema.prefault('30s').describe('how long the set-up of a session may take'),
  initializeTimeout: durationSchema.prefault('30s').describe('how long a client may take to send its first message'),
  idleTimeout: durationSchema.prefault('30m').describe('how long a session may go without a message'),
  discardPagesAfter: durationSchema
    .prefault('10m')
    .describe(
      'after how long without a call the pages of a session are closed; the next call opens them again. Pages with entered data stay open. `0s`: never',
    ),
  resumeGrace: durationSchema.prefault('60s').describe('how long a session without a stream waits for its client'),
  drainTimeout: durationSchema.prefault('10s').describe('how long requests in flight may take when the server stops'),
  bodyLimit: sizeSchema.prefault('4mb').describe('largest message a client may send'),
  sessionMemory: sizeSchema
    .prefault('32mb')
    .describe(
      'bytes that the server keeps for one session. With that many unread answers, over all its streams, further requests get 429; one user may leave 4 times as many unread. Recordings of its pages and extensions, mock rules, init scripts and the like may take three quarters: past it the oldest recordings are dropped, further rules and scripts refused',
    ),
  tools: stringListSchema
    .default(['extension', 'core', 'sources', 'debugger', 'styles'])
    .describe('tool groups, or `all`; per connection with `/mcp?tools=core`'),
  structured: booleanSchema
    .default(false)
    .describe(
      'also send answers as `structuredContent`, and output schemas, for programs; per connection with `/mcp?structured=1`',
    ),
  clientProfile: z.string().default('').meta({
    shown: 'by the name of the client',
    description:
      'which messages a client gets and may send: the name of a client profile, or fields such as `picturePixels=2000`; per connection with `/mcp?profile=…`',
  }),
  workspace: stringListSchema.optional().meta({
    shown: 'the current and the temporary folder; with authentication none',
    description:
      "the only folders, besides the session's own, that tools of every user may read and write; repeatable. Files of the server in them are excluded: `--data-dir`, profiles and the folders of other sessions",
  }),
  inspectStately: integerBetween(0, 65535)
    .optional()
    .describe("port on 127.0.0.1 for Stately's inspector, whose page is remote. Default: off"),
  alertFailureRate: fractionSchema
    .default(0.2)
    .describe('share of session creations within the window that must fail for the alert to fire'),
  alertWindow: durationSchema
    .refine((ms) => ms >= 1_000, 'a duration of at least 1s')
    .prefault('60s')
    .describe('window of the alert; it fires if the rate is still exceeded after a quarter of the window'),
  alertMinCreations: integerBetween(1, 1e6)
    .default(5)
    .describe('with fewer creations than this in the window, the alert does not fire'),
  alertWebhook: z
    .url({ protocol: /^https?$/, error: webhookUrlFormat })
    .refine((url) => new URL(url).username === '', webhookUrlFormat)
    .optional()
    .meta({ secret: true, description: 'address that receives a POST when the alert fires and when it clears' }),
  alertWebhookSecret: z
    .string()
    .regex(/^whsec_[A-Za-z0-9+/]{32,}={0,2}$/, '`whsec_` and at least 24 bytes in base64')
    .optional()
    .meta({ secret: true, description: 'key that signs the body of the webhook; set the variable, not the flag' }),
  secrets: z
    .string()
    .min(1)
    .optional()
    .describe(
      'file of secrets, `NAME=value` lines or JSON: `fill`, `fill_form`, `type_text`, `set_credentials` and `extraHttpHeaders` of `emulate` accept the name instead of the value, and no answer shows the value',
    ),
  auditLog: z
    .string()
    .min(1)
    .optional()
    .describe(
      'file with a JSON line for each action of a user, without contents. Rotated at 64 MB, with 5 older files; only the user of the server process can read it',
    ),
  logLevel: z.enum(['error', 'warn', 'info', 'debug']).default('info').describe('least severe level that is written'),
  logFormat: z
    .enum(['pretty', 'json'])
    .optional()
    .meta({ shown: '`pretty` on a terminal, otherwise `json`', description: 'format of the log' }),
});

/** Defaults that differ for `greenroom stdio`: an editor starts the process long before the first call, and ends it. */
export const stdioDefaults = { lease: 'lazy', idleTimeout: '168h', discardPagesAfter: '0s' } as const satisfies Options;

export type Options = z.input<typeof optionsSchema>;
