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
    text: 'A message is delivered only in connected or active. Earlier it is refused as not_ready, later as closed; not_ready, closed and unknown are never mistaken for one another.',
  },
  {
    id: 'S4',
    text: 'Messages are handed over in the order of arrival, answers leave exactly once, and a long call holds up neither ping nor a cancellation.',
  },
  { id: 'S5', text: 'What a session opened is released exactly once, on every path.' },
  { id: 'S6', text: 'A session sees and touches only what its lease covers, and belongs to one user.' },
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
  { id: 'S12', text: 'If the directory cannot be reached, nothing new is announced.' },
  { id: 'C-SSE', text: 'GET /sse opens a session, POST /message talks to it; comments keep the stream alive.' },
  { id: 'C-ISOLATION', text: 'What one client negotiates, sets or asks is never seen by another.' },
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
  { id: 'C-EXAMPLE', text: 'What README shows of finding and mending a bug is what happens.' },
  { id: 'C-PACKAGE', text: 'The package, installed into an empty folder, serves.' },
  { id: 'C-STORM', text: '1,500 sessions come and go, 64 at a time, without a failure and without a trace.' },
  { id: 'C-CONFIG', text: 'Flag, then environment, then file, then default; what is wrong is named in one line.' },
];
