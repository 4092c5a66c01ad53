export interface Requirement {
  /** `S…`: a promise. `C-…`: a line of what users, clients and operators rely on. */
  readonly id: string;
  readonly text: string;
}

/** What the program promises. Tests cite the ids in their names, in square brackets; an id that none cites is a failure. */
export const requirements: readonly Requirement[] = [
  {
    id: 'S1',
    text: 'No byte that tells a client its session id leaves before the session is in the directory, its tools are registered and, with an eager lease, its browser is ready.',
  },
  { id: 'S2', text: 'A session is announced exactly once for each transport that is attached.' },
  {
    id: 'S3',
    text: 'A message is delivered only in connected or active. Earlier it is held within a bound or refused as not_ready, later as closed; not_ready, closed and unknown are strictly distinguished.',
  },
  {
    id: 'S4',
    text: 'Messages are handed over in the order of arrival, answers leave exactly once, and a long call holds up neither ping nor a cancellation.',
  },
  {
    id: 'S5',
    text: 'What a session opened is released exactly once, on every path: contexts, pages, processes, profile folders, timers.',
  },
  {
    id: 'S6',
    text: 'A session sees and touches only what its lease covers: its own pages, requests, console and storage; with the isolation profile, those of the attached browser, which is lent to one user at a time. A session belongs to one user.',
  },
  { id: 'S7', text: 'Nothing is written after closed.' },
  {
    id: 'S8',
    text: 'A set-up that fails leaves nothing behind, and the client gets the cause; a set-up that times out is cancelled, and what it opens late is closed.',
  },
  {
    id: 'S9',
    text: 'Each state handles each event or names it as a no-op; an unexpected one is logged with its state.',
  },
  { id: 'S10', text: 'Queues, logs and buffers are bounded; at the bound there is an answer, not silence.' },
  {
    id: 'S11',
    text: 'A session has at most one owner at a time, and a node that lost it can write nothing.',
  },
  { id: 'S12', text: 'If the directory cannot be reached, nothing new is announced.' },
  {
    id: 'C-NODES',
    text: 'With --redis-url any node serves any session: a message to any node is handled and answered by the node that owns the session, once and in order.',
  },
  {
    id: 'C-TAKEOVER',
    text: 'The Streamable HTTP sessions of a dead node continue at the node that gets the next request; requests in flight are answered with node_lost.',
  },
  {
    id: 'C-CHAOS',
    text: 'Whatever happens to nodes, links and Redis, in any order: no double owner, nothing lost, repeated, out of order, misdelivered or left behind.',
  },
  {
    id: 'C-FAILOVER',
    text: 'With Redis Sentinel or a cluster, nodes follow a failover: nothing is announced during it, open sessions continue, and sessions that were not replicated end with a clear answer.',
  },
  {
    id: 'C-NGINX',
    text: 'Three nodes run behind nginx with the configuration that src/cluster/README.md shows, without stickiness.',
  },
  {
    id: 'C-SHARED',
    text: 'Limits, admission, listings and metrics of sessions cover all nodes together; resources of a dead node, also in a shared browser, are free within two of its leases.',
  },
  {
    id: 'C-HANDSHAKE',
    text: 'Before initialize a session serves only ping, and it serves initialize once, on every transport.',
  },
  { id: 'C-SSE', text: 'GET /sse opens a session, POST /message sends it a message; comments keep the stream alive.' },
  {
    id: 'C-HTTP',
    text: 'POST, GET and DELETE /mcp are Streamable HTTP of 2025-03-26 to 2025-11-25, with their status codes.',
  },
  {
    id: 'C-RESUME',
    text: 'A lost stream of /mcp continues after Last-Event-ID: nothing is lost, repeated or out of order, and a gap is reported.',
  },
  {
    id: 'C-DETACH',
    text: 'A session whose stream was lost is kept for --resume-grace, and continues with the next request.',
  },
  {
    id: 'C-WS',
    text: 'GET /ws with the subprotocol mcp opens a session with one message per text frame; a bad handshake is answered by the catalogue, an end by its close code.',
  },
  {
    id: 'C-STDIO',
    text: 'greenroom stdio serves one client on standard streams, writes nothing but messages to them, and ends with them.',
  },
  { id: 'C-SECURITY', text: 'Each line of the security checklist is held by a test (test/security/checklist.ts).' },
  {
    id: 'C-FUZZ',
    text: 'Whatever input a transport gets, in at least 20,000 cases: a defined answer, nothing left behind, the next client is served.',
  },
  { id: 'C-ISOLATION', text: 'No client sees what another one negotiates, sets or requests.' },
  {
    id: 'C-ASK',
    text: 'A tool may request the model, the person or the folders of its client; each request ends once, with its call at the latest.',
  },
  {
    id: 'C-OFFER',
    text: 'Prompts, resources and completions belong to the requesting session, and it is notified of their changes.',
  },
  { id: 'C-LIBRARY', text: "An embedder's own tools on their own express app have every promise of the server." },
  {
    id: 'C-CREATION',
    text: 'The outcome of the set-up of a session is reported exactly once and correctly, however it ends.',
  },
  { id: 'C-HEALTH', text: '/health counts sessions, browsers, connections, requests and errors.' },
  { id: 'C-READY', text: '/ready is 503 while the server drains.' },
  { id: 'C-OPERATOR', text: 'Operators list sessions and close one.' },
  { id: 'C-TOOL-ERROR', text: 'A tool that fails is a result that says what went wrong and what to do next.' },
  {
    id: 'C-INSPECTOR',
    text: 'The inspector shows the current state of every session within a second, only to operators of this server, and nothing of its contents.',
  },
  { id: 'C-DRAIN', text: 'The server ends in order, within a bound: port, sessions, browsers.' },
  { id: 'C-TIMEOUTS', text: 'Unused sessions are closed; one with a call in flight is not.' },
  { id: 'C-EXAMPLE', text: 'The commands of the README for finding and fixing a bug print what it shows.' },
  { id: 'C-PACKAGE', text: 'The package, installed into an empty folder, serves.' },
  {
    id: 'C-ADMISSION',
    text: 'A client that connects or sends too often, or finds no free capacity, gets 429 with the time to retry; nothing is created.',
  },
  {
    id: 'C-BROWSERS',
    text: 'There are never more browser processes than allowed; a waiting client gets its position in the queue, which is bounded.',
  },
  {
    id: 'C-WARM',
    text: 'Warm sessions wait for clients, ready and unreachable; they are checked when given to a client, and replaced.',
  },
  {
    id: 'C-STORM',
    text: '1,500 sessions are opened and closed, 64 at a time, without a failure, and leave nothing behind.',
  },
  { id: 'C-CONFIG', text: 'Flag, then environment, then file, then default; an error is one line.' },
  {
    id: 'C-AUTH',
    text: 'Every route authenticates its requests: without authentication, by a token of a user, or by one of an OAuth issuer.',
  },
  {
    id: 'C-USERS',
    text: 'The operator registers users, their tokens and their browsers; removing one ends its sessions.',
  },
  {
    id: 'C-STORE',
    text: 'An acknowledged change survives kill -9; a failed one has changed nothing.',
  },
  { id: 'C-LOG', text: 'Each transition is one line of the log, and the reason of a failure is logged once.' },
  { id: 'C-SECRETS', text: 'No secret is in a log, an error or a file.' },
  {
    id: 'C-ALARM',
    text: 'When too many session creations fail within the window the alert fires once, and clears once when they no longer do.',
  },
  { id: 'C-WEBHOOK', text: 'The webhook is signed, retried within a bound, and blocks nothing.' },
  { id: 'C-METRICS', text: '/metrics is Prometheus text by its conventions, with labels from closed sets only.' },
  {
    id: 'C-REQUEST-ID',
    text: 'Every answer carries the id of its request, and so do refusals and log lines about it.',
  },
  { id: 'C-TRACE', text: 'Connects and tool calls are OpenTelemetry spans in the trace context of their caller.' },
];
