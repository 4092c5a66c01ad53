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
    text: 'A message is delivered only in connected or active. Earlier it is held within a bound or refused as not_ready, later as closed; not_ready, closed and unknown are never mistaken for one another.',
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
    text: 'A set-up that fails leaves nothing behind, and the client hears the cause; one that is timed out is cancelled, and what it opens late is closed.',
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
    text: 'With --redis-url any node serves any session: what is said at one is done and answered by the node that owns the session, once and in order.',
  },
  {
    id: 'C-TAKEOVER',
    text: 'The Streamable HTTP sessions of a node that dies go on at the node that is asked; what was under way is answered with node_lost.',
  },
  {
    id: 'C-CHAOS',
    text: 'Whatever befalls nodes, links and Redis, in any order: no double owner, nothing lost, repeated, out of order or crossed, nothing left.',
  },
  {
    id: 'C-FAILOVER',
    text: 'With Redis Sentinel or a cluster, nodes follow a failover: nothing is announced during it, what was open goes on, and what was not replicated ends with a clear answer.',
  },
  {
    id: 'C-NGINX',
    text: 'Three nodes run behind nginx with the configuration that src/cluster/README.md shows, without stickiness.',
  },
  {
    id: 'C-SHARED',
    text: 'What limits, lets in, lists and watches sessions does so for all nodes together; what a dead node held, also in a browser that others use, is free within two of its leases.',
  },
  {
    id: 'C-HANDSHAKE',
    text: 'A session serves ping alone before initialize, and initialize once, on every transport.',
  },
  { id: 'C-SSE', text: 'GET /sse opens a session, POST /message talks to it; comments keep the stream alive.' },
  {
    id: 'C-HTTP',
    text: 'POST, GET and DELETE /mcp are Streamable HTTP of 2025-03-26 to 2025-11-25, with their status codes.',
  },
  {
    id: 'C-RESUME',
    text: 'A stream of /mcp that was lost goes on after Last-Event-ID: nothing is lost, repeated or out of order, and a gap is told.',
  },
  {
    id: 'C-DETACH',
    text: 'A session whose stream was lost is kept for --resume-grace, and goes on with the next request.',
  },
  {
    id: 'C-WS',
    text: 'GET /ws with the subprotocol mcp opens a session of one message a text frame; a bad handshake is answered by the catalogue, an end by its close code.',
  },
  {
    id: 'C-STDIO',
    text: 'greenroom stdio serves one client on standard streams, writes nothing but messages there, and ends with them.',
  },
  { id: 'C-SECURITY', text: 'Each line of the security checklist is held by a test (test/security/checklist.ts).' },
  {
    id: 'C-FUZZ',
    text: 'Whatever comes in at a door, at least 20,000 cases of it: a defined answer, nothing left behind, the next client is served.',
  },
  { id: 'C-ISOLATION', text: 'What one client negotiates, sets or asks is never seen by another.' },
  {
    id: 'C-ASK',
    text: 'A tool may ask its client for a model, a person or its folders; each question ends once, with its call at the latest.',
  },
  {
    id: 'C-OFFER',
    text: 'Prompts, resources and completions are those of the session that asks, and it hears when they change.',
  },
  { id: 'C-LIBRARY', text: "An embedder's own tools on their own express app have every promise of the server." },
  {
    id: 'C-CREATION',
    text: 'How the set-up of a session ended is told exactly once, as what it was, however it ends.',
  },
  { id: 'C-HEALTH', text: '/health counts sessions, browsers, connections, requests and errors.' },
  { id: 'C-READY', text: '/ready is 503 while the server drains.' },
  { id: 'C-OPERATOR', text: 'Operators list sessions and close one.' },
  { id: 'C-TOOL-ERROR', text: 'A tool that fails is a result that says what went wrong and what to do next.' },
  {
    id: 'C-INSPECTOR',
    text: 'The inspector shows every session as it is within a second, to people of this server only, and nothing of what it works on.',
  },
  { id: 'C-DRAIN', text: 'The server ends in order, within a bound: port, sessions, browsers.' },
  { id: 'C-TIMEOUTS', text: 'Sessions that nobody uses are closed; one with a call in flight is not.' },
  { id: 'C-EXAMPLE', text: 'What README shows of finding and fixing a bug is what happens.' },
  { id: 'C-PACKAGE', text: 'The package, installed into an empty folder, serves.' },
  {
    id: 'C-ADMISSION',
    text: 'Who connects or asks too often, or finds everything taken, hears 429 and when to come back; nothing is created.',
  },
  {
    id: 'C-BROWSERS',
    text: 'There are never more browser processes than allowed; who waits for one hears its place in the queue, which is bounded.',
  },
  {
    id: 'C-WARM',
    text: 'Sessions wait for clients, ready and found by nobody; they are checked as they are handed over, and replaced.',
  },
  { id: 'C-STORM', text: '1,500 sessions come and go, 64 at a time, without a failure and without a trace.' },
  { id: 'C-CONFIG', text: 'Flag, then environment, then file, then default; what is wrong is named in one line.' },
  {
    id: 'C-AUTH',
    text: 'Every route asks who makes a request: nobody, a user with a token, or one of an OAuth issuer.',
  },
  {
    id: 'C-USERS',
    text: 'The operator registers users, their tokens and their browsers; removing one ends its sessions.',
  },
  {
    id: 'C-STORE',
    text: 'A change that was acknowledged is kept, also over kill -9; one that failed has changed nothing.',
  },
  { id: 'C-LOG', text: 'Each transition is one line of the log, and why something failed is said once.' },
  { id: 'C-SECRETS', text: 'No secret is in a log, an error or a file.' },
  {
    id: 'C-ALARM',
    text: 'When too many session creations fail within the window the alarm rings once, and clears once when they no longer do.',
  },
  { id: 'C-WEBHOOK', text: 'The webhook is signed, tried again within a bound, and holds up nothing.' },
  { id: 'C-METRICS', text: '/metrics is Prometheus text by its conventions, with labels from closed sets only.' },
  {
    id: 'C-REQUEST-ID',
    text: 'Every answer carries the id of its request, and so do refusals and log lines about it.',
  },
  { id: 'C-TRACE', text: 'Connects and tool calls are OpenTelemetry spans below the trace context of their caller.' },
];
