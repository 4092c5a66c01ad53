/** Who a session belongs to: issuer and subject, never the bytes of a token. */
export interface Principal {
  readonly issuer: string;
  readonly user: string;
  /** The id of the token that was shown, if it is one of ours: when it is revoked, the sessions that it opened end. */
  readonly credentialId?: string;
  /** The time from which the token that was shown is not valid any more. A stream that it opened ends then. */
  readonly expiresAt?: number;
}

/** Who makes a request. `anyone`: authentication is off and the request names no user. */
export type Caller = Principal | 'anyone';

export function owns(caller: Caller, owner: Principal): boolean {
  return caller === 'anyone' || (caller.issuer === owner.issuer && caller.user === owner.user);
}

/** Issuer and subject as one key of a map. */
export const principalKey = ({ issuer, user }: Principal): string => `${issuer} ${user}`;

/** What this server calls its own users, as opposed to those of an outside issuer. */
export const localIssuer = 'local';

/** What the subject of an outside issuer is made of, in words. */
export const subjectRule = '1 to 255 printable characters (and not . or .. alone)';

/** Whether an outside issuer's subject can be a user. It becomes part of log lines and, encoded, of paths. */
export const isSubject = (sub: string): boolean =>
  sub.length > 0 && sub.length <= 255 && !/\p{C}/u.test(sub) && sub !== '.' && sub !== '..';

/** What a user id is made of, in words. */
export const userIdRule = '1 to 128 letters, digits or . _ @ + - (and not . or .. alone)';

/** Whether an id may be given to a user of our own. It is part of paths and log lines: nothing that means something there. */
export const isUserId = (id: string): boolean => /^[\w.@+-]{1,128}$/.test(id) && id !== '.' && id !== '..';
