/** A way in which a server like this one is attacked, and the tests that show it held: the file, and words of a name. */
export interface Threat {
  readonly threat: string;
  readonly heldBy: readonly (readonly [file: string, words: string])[];
}

/** The MCP security best practices (2025-11-25), and what is known of HTTP servers. Tokens and rates have tests of their own. */
export const checklist: readonly Threat[] = [
  {
    threat: 'DNS rebinding: a page whose name resolves to this machine',
    heldBy: [
      ['server/hostOriginPolicy', 'whatever its name resolves to'],
      ['server/hostOriginPolicy', 'the doors are in front of every route'],
      ['transport/webSocketHandshake', 'a foreign Host'],
    ],
  },
  {
    threat: 'Origin: a foreign page that connects, fetches or upgrades',
    heldBy: [
      ['server/hostOriginPolicy', 'may not connect'],
      ['server/hostOriginPolicy', 'what a foreign page fetches without an Origin'],
      ['transport/webSocketHandshake', 'a foreign Origin'],
      ['security/sessions', 'does not let in the other'],
      ['security/sessions', 'mounted elsewhere keep their doors'],
    ],
  },
  {
    threat: "Session hijacking: somebody else's session",
    heldBy: [
      ['errors/refusals', 'the id of somebody else, are answered with the same bytes'],
      ['security/sessions', 'every guess is answered with the same bytes'],
    ],
  },
  {
    threat: 'Session ids that can be guessed, chosen or read',
    heldBy: [
      ['security/sessions', 'an id is 128 random bits'],
      ['server/app', 'a client cannot choose its session id'],
      ['security/sessions', '/health names no session'],
    ],
  },
  {
    threat: 'Replay: what was said in one session is heard in another',
    heldBy: [
      ['security/sessions', 'gets it nothing of another'],
      ['security/sessions', 'a cancellation reaches only requests of its own session'],
      ['transport/webSocket', 'are answered once each, to the one who asked'],
    ],
  },
  {
    threat: 'Messages that are too large, or too many in one',
    heldBy: [
      ['errors/refusals', 'malformed bodies: not JSON, too large'],
      ['errors/refusals', 'queue_full'],
      ['transport/webSocketEnd', 'larger than --body-limit'],
      ['transport/webSocket', 'a batch'],
      ['transport/stdio', 'larger than allowed'],
      ['transport/stdio', 'a line without an end is not kept'],
      ['transport/webSocket', 'compression is not agreed to'],
    ],
  },
  {
    threat: 'Slow loris: requests, handshakes and answers that never end',
    heldBy: [
      ['security/connections', 'slow loris'],
      ['transport/sse', 'a client that does not read is given up'],
      ['transport/webSocketEnd', 'a client that does not read ends as slow-client'],
      ['transport/webSocketEnd', 'one that does not is gone after the second'],
      ['transport/webSocketEnd', 'ignores the close frame'],
      ['transport/webSocketHandshake', 'a set-up that takes too long'],
    ],
  },
  {
    threat: 'Floods of connections, sessions and headers',
    heldBy: [
      ['security/connections', 'past the cap a connection is hung up on'],
      ['security/connections', 'header floods'],
      ['errors/refusals', 'too_many_sessions'],
      ['transport/webSocketHandshake', 'past --max-sessions'],
    ],
  },
  {
    threat: 'Prototype pollution',
    heldBy: [
      ['security/sessions', 'change no object'],
      ['server/app', 'one that reaches for prototypes'],
    ],
  },
  {
    threat: 'Path tricks in routes, upgrades and resources',
    heldBy: [
      ['security/sessions', 'GET %s opens nothing'],
      ['security/sessions', 'an upgrade at %s is not found'],
      ['security/sessions', 'the resource %s does not exist'],
      ['server/app', 'a request target that is'],
    ],
  },
  {
    threat: 'Smuggling: one request that two readers see as two, or an upgrade that hides one',
    heldBy: [
      ['security/connections', 'request smuggling'],
      ['security/connections', 'opens no tunnel'],
      ['security/sessions', 'what follows a refused handshake'],
      ['transport/webSocketHandshake', 'the two are not mixed'],
      ['transport/webSocketHandshake', 'is passed over: the request is answered as it is'],
      ['transport/webSocketHandshake', 'with a body'],
    ],
  },
  {
    threat:
      "A tenant's own extension or page that reaches Chrome's own pages, the disk, or chooses how Chrome connects",
    heldBy: [
      ['hostile/addresses', 'no tool opens'],
      ['hostile/addresses', 'no page gets there by'],
      ['hostile/addresses', 'no code of the tenant runs there'],
      ['hostile/addresses', 'would choose how Chrome connects'],
      ['hostile/addresses', 'from what pages downloaded'],
      ['hostile/extensionFiles', 'reads no file'],
    ],
  },
  {
    threat: 'Addresses of the network that a session may not reach, however they are written, asked for or resolved',
    heldBy: [
      ['hostile/urls', 'says which flag is in the way'],
      ['hostile/urls', 'in any argument for an address or a path'],
      ['hostile/urlRules', 'only contains what the pattern'],
      ['hostile/urlRules', 'is not reached'],
      ['hostile/urlRules', 'is refused: %s'],
      ['hostile/urlRules', 'a name that resolves to a forbidden address'],
    ],
  },
  {
    threat: 'Ids of another user: of a session, a browser, a resource, a request',
    heldBy: [
      ['hostile/sharing', 'gets nothing of it'],
      ['security/sessions', 'a cancellation reaches only requests'],
    ],
  },
  {
    threat: 'Ids that name a key of the store, instead of a session or a task',
    heldBy: [
      ['hostile/sessionIds', 'as unknown as one that never was'],
      ['hostile/sessionIds', 'what else the store keeps is no task'],
    ],
  },
  {
    threat: "The operator's routes and inspector: by a user's token, or by what a user says",
    heldBy: [
      ['hostile/operator', 'learns and changes nothing by'],
      ['hostile/operator', 'is text in the inspector'],
    ],
  },
  {
    threat: 'Line ends in what a client says: headers of an answer, events of a stream, lines of the log',
    heldBy: [
      ['hostile/operator', 'writes no header of an answer'],
      ['hostile/operator', 'writes no event of a stream'],
    ],
  },
  {
    threat: 'Logins at rest: read from the disk, changed, or restored by another user',
    heldBy: [
      ['tools/encryptedFiles', 'shows nothing'],
      ['tools/encryptedFiles', 'no byte of a file can be changed'],
      ['tools/encryptedFiles', 'under another name, is refused'],
      ['hostile/disk', 'restores no login that another saved'],
      ['hostile/disk', 'after a restart of the server'],
    ],
  },
  {
    threat: 'A user or a page that takes memory, processes, time or disk from others',
    heldBy: [
      ['hostile/kept', 'the recordings of fifty pages'],
      ['hostile/kept', 'are one number, below one limit'],
      ['hostile/deepMessages', 'too many %s'],
      ['hostile/deepMessages', 'so are the messages of a batch'],
      ['hostile/deepMessages', 'until enough of them are wrong'],
      ['browser/pipeTransport', 'texts of an event are cut'],
      ['browser/pipeTransport', 'between two messages others have a turn'],
      ['browser/targetGuard', 'until it ends itself'],
      ['hostile/unread', 'unread bytes are bounded'],
      ['session/userQuotas', 'each quota is refused by its name'],
      ['session/userQuotas', 'do not pass a quota together'],
      ['session/userQuotas', 'ends its session at twice the quota'],
    ],
  },
  {
    threat: 'Errors that tell of the inside',
    heldBy: [
      ['server/app', '"internal" without details'],
      ['server/app', 'never with a stack'],
    ],
  },
];
