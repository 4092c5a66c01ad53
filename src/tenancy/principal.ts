/** The user that a request acts for, and that owns a session: issuer and subject, never a token. */
export interface Principal {
  readonly issuer: string;
  readonly user: string;
  /** The id of the token, if this server issued it. Its revocation ends the sessions that it opened. */
  readonly credentialId?: string;
  /** The expiry time of the token. The streams that it opened end then. */
  readonly expiresAt?: number;
}

/** The principal of a request. `anyone`: authentication is off and the request names no user. */
export type Caller = Principal | 'anyone';

export function owns(caller: Caller, owner: Principal): boolean {
  return caller === 'anyone' || (caller.issuer === owner.issuer && caller.user === owner.user);
}

/** Issuer and subject as one map key. */
export const principalKey = ({ issuer, user }: Principal): string => `${issuer} ${user}`;

/** The issuer of users that are registered at this server. */
export const localIssuer = 'local';

/** The rule of `isSubject` as text. */
export const subjectRule = '1 to 255 printable characters (and not . or .. alone)';

/** Whether the subject of an OAuth issuer can be a user id. It becomes part of log lines and, encoded, of paths. */
export const isSubject = (sub: string): boolean =>
  sub.length > 0 && sub.length <= 255 && !/\p{C}/u.test(sub) && sub !== '.' && sub !== '..';

/** The rule of `isUserId` as text. */
export const userIdRule = '1 to 128 letters, digits or . _ @ + - (and not . or .. alone)';

/** Whether the text can be the id of a registered user. It becomes part of paths and log lines. */
export const isUserId = (id: string): boolean => /^[\w.@+-]{1,128}$/.test(id) && id !== '.' && id !== '..';
