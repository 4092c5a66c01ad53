/** Who a session belongs to: issuer and subject, never the bytes of a token. */
export interface Principal {
  readonly issuer: string;
  readonly user: string;
}

/** Who makes a request. `anyone`: authentication is off and the request names no user. */
export type Caller = Principal | 'anyone';

export function owns(caller: Caller, owner: Principal): boolean {
  return caller === 'anyone' || (caller.issuer === owner.issuer && caller.user === owner.user);
}

/** Issuer and subject as one key of a map. */
export const ownerKey = ({ issuer, user }: Principal): string => `${issuer} ${user}`;
